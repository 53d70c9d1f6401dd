"""Filter clauses in SQL: which segment rows of a collection a filter allows.

Every condition is either true or false of a segment and never NULL, so that NOT is its complement.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Text,
    and_,
    cast,
    false,
    func,
    not_,
    or_,
    select,
    true,
)

from app.catalog.filters import (
    EVERYTHING,
    Among,
    And,
    Builtin,
    Compare,
    Condition,
    Exists,
    Field,
    Key,
    Not,
    Or,
    Order,
    Value,
)
from app.catalog.metadata_terms import is_scalar, number_order, string_order, term
from app.catalog.sql import tables

Clause: TypeAlias = ColumnElement[bool]

T = tables.segments
TERMS = tables.metadata_terms
VIDEOS = tables.videos
COMPARE: Mapping[Order, Callable[[ColumnElement[Any], Any], Clause]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
COLUMNS: Mapping[Builtin, ColumnElement[Any]] = {
    Builtin.VIDEO_ID: VIDEOS.c.id,
    Builtin.DURATION: VIDEOS.c.duration_s,
    Builtin.CREATED: VIDEOS.c.created_at,
    Builtin.START: T.c.start_s,
    Builtin.END: T.c.end_s,
}


def rows(
    connection: Connection, collection: str, wanted: Condition | None, last_row: int | None
) -> npt.NDArray[np.int64] | None:
    """The rows that fit, up to and with `last_row`, ascending; None when nothing restricts."""
    if wanted in (None, EVERYTHING) and last_row is None:
        return None
    # One long text: a hundred thousand rows of one number each take five times as long to fetch.
    statement = (
        select(func.aggregate_strings(cast(T.c.row, Text), " "))
        .join_from(VIDEOS, T, T.c.video_id == VIDEOS.c.id)
        .where(VIDEOS.c.collection == collection)
    )
    if wanted is not None:
        statement = statement.where(_clause(wanted))
    if last_row is not None:
        statement = statement.where(T.c.row <= last_row)
    numbers = connection.execute(statement).scalar_one() or ""
    return np.sort(np.fromstring(numbers, dtype=np.int64, sep=" "))


def _clause(condition: Condition) -> Clause:
    match condition:
        case And(parts):
            return and_(true(), *map(_clause, parts))
        case Or(parts):
            return or_(false(), *map(_clause, parts))
        case Not(part):
            return not_(_clause(part))
        case Among(field, values):
            return _is_among(field, values)
        case Compare(field, order, value):
            return _is_in_order(field, order, value)
        case Exists(field):
            return _has_term(field) if isinstance(field, Key) else true()


def _is_among(field: Field, values: Sequence[Value]) -> Clause:
    if isinstance(field, Key):
        terms = [term(value) for value in values if is_scalar(value)]
        return _has_term(field, TERMS.c.term.in_(terms))
    if field is Builtin.VIDEO_ID:
        # Ids are ASCII without NUL; databases refuse to look for some of the other texts.
        values = [value for value in map(str, values) if value.isascii() and "\0" not in value]
    return _known(COLUMNS[field].in_(values))


def _is_in_order(field: Field, order: Order, value: Value) -> Clause:
    compare = COMPARE[order]
    if isinstance(field, Key):
        if isinstance(value, str):
            return _has_term(field, compare(TERMS.c.string, string_order(value)))
        assert isinstance(value, int | float)
        return _has_term(field, compare(TERMS.c.number, number_order(value)))
    if isinstance(value, str):
        # As bytes: texts would be compared by the collation of the database.
        return _known(compare(cast(COLUMNS[field], LargeBinary), string_order(value)))
    return _known(compare(COLUMNS[field], value))


def _has_term(key: Key, *claims: Clause) -> Clause:
    """The video's metadata has the key, with a term of which the claims are true."""
    found = select(TERMS.c.video_id).where(TERMS.c.key == term(key.name), *claims)
    return VIDEOS.c.id.in_(found)


def _known(claim: Clause) -> Clause:
    """The claim, and false where its column has no value."""
    return func.coalesce(claim, false())
