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
    TEXTS,
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
from app.catalog.metadata_terms import FURTHER_NAME, is_scalar, number_order, string_order, term
from app.catalog.sql import tables

Clause: TypeAlias = ColumnElement[bool]
Rows: TypeAlias = npt.NDArray[np.int64]

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
    Builtin.FILENAME: VIDEOS.c.filename,
    Builtin.SHA256: VIDEOS.c.sha256,
    Builtin.SIZE: VIDEOS.c.size_bytes,
    Builtin.CONTAINER: VIDEOS.c.container,
    Builtin.CODEC: VIDEOS.c.codec,
    Builtin.WIDTH: VIDEOS.c.width,
    Builtin.HEIGHT: VIDEOS.c.height,
    Builtin.DURATION: VIDEOS.c.duration_s,
    Builtin.CREATED: VIDEOS.c.created_at,
    Builtin.START: T.c.start_s,
    Builtin.END: T.c.end_s,
}

IDS_AT_ONCE = 500  # in one IN list
OF_SEGMENTS = frozenset({Builtin.START, Builtin.END})
_ALWAYS_THERE = (Builtin.VIDEO_ID, Builtin.DURATION, Builtin.CREATED, Builtin.START, Builtin.END)


def rows(
    connection: Connection, collection: str, wanted: Condition | None, last_row: int | None
) -> Rows | None:
    """The rows that fit, up to and with `last_row`, ascending; None when nothing restricts.

    A condition on videos is answered by the run of rows of each video, which is read from both ends
    of it; one on segments, by every row.
    """
    if wanted in (None, EVERYTHING) and last_row is None:
        return None
    fits = and_(VIDEOS.c.collection == collection, true() if wanted is None else _clause(wanted))
    if wanted is not None and _is_of_segments(wanted):
        found = _each_row(connection, fits)
    else:
        found = _runs(connection, fits)
    return found if last_row is None else found[: np.searchsorted(found, last_row, "right")]


def _each_row(connection: Connection, fits: Clause) -> Rows:
    """The rows of segments that fit, one by one, ascending."""
    # One long text: a hundred thousand rows of one number each take five times as long to fetch.
    statement = (
        select(func.aggregate_strings(cast(T.c.row, Text), " "))
        .join_from(VIDEOS, T, T.c.video_id == VIDEOS.c.id)
        .where(fits)
    )
    numbers = connection.execute(statement).scalar_one() or ""
    return np.sort(np.fromstring(numbers, dtype=np.int64, sep=" "))


def _runs(connection: Connection, fits: Clause) -> Rows:
    """The rows of videos that fit, ascending."""
    of_video = T.c.video_id == VIDEOS.c.id
    earliest = select(T.c.row).where(of_video).order_by(T.c.position).limit(1)
    latest = select(T.c.row).where(of_video).order_by(T.c.position.desc()).limit(1)
    ends = select(
        VIDEOS.c.id,
        earliest.scalar_subquery(),
        latest.scalar_subquery(),
        select(func.max(T.c.position)).where(of_video).scalar_subquery(),
    )
    found = [video for video in connection.execute(ends.where(fits)) if video[1] is not None]
    # Rows are numbered in the order of positions, which begin at 0. Where PostgreSQL ingests two
    # videos at once, their rows may lie between each other.
    whole = sorted((first, last) for _, first, last, steps in found if last - first == steps)
    scattered = [video_id for video_id, first, last, steps in found if last - first != steps]
    rows = _expanded(np.array(whole, np.int64).reshape(-1, 2))
    for start in range(0, len(scattered), IDS_AT_ONCE):
        some = VIDEOS.c.id.in_(scattered[start : start + IDS_AT_ONCE])
        rows = np.sort(np.concatenate([rows, _each_row(connection, some)]))
    return rows


def _expanded(runs: Rows) -> Rows:
    """Every row of the runs: int64 [N, 2], first and last row of each."""
    lengths = runs[:, 1] - runs[:, 0] + 1
    begins = np.cumsum(lengths) - lengths
    return np.repeat(runs[:, 0] - begins, lengths) + np.arange(lengths.sum())


def key_counts(
    connection: Connection, collection: str, keys: Sequence[str], *, at_most: int | None
) -> dict[str, int]:
    """In how many of the collection's videos each key of the metadata is, counted to `at_most`."""
    counts = {}
    for key in keys:
        found = (
            select(TERMS.c.video_id)
            .join_from(TERMS, VIDEOS, TERMS.c.video_id == VIDEOS.c.id)
            .where(TERMS.c.key == term(key), VIDEOS.c.collection == collection)
            .distinct()
            .limit(at_most)
        )
        counted = select(func.count()).select_from(found.subquery())
        counts[key] = int(connection.execute(counted).scalar_one())
    return counts


def _is_of_segments(condition: Condition) -> bool:
    """Whether the segments of one video may differ in it."""
    match condition:
        case And(parts) | Or(parts):
            return any(map(_is_of_segments, parts))
        case Not(part):
            return _is_of_segments(part)
        case Among(field) | Compare(field) | Exists(field):
            return field in OF_SEGMENTS


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
            return _has_term(term(field.name)) if isinstance(field, Key) else _is_there(field)


def _is_among(field: Field, values: Sequence[Value]) -> Clause:
    if isinstance(field, Key):
        terms = [term(value) for value in values if is_scalar(value)]
        return _has_term(term(field.name), TERMS.c.term.in_(terms))
    if field not in TEXTS:
        return _known(COLUMNS[field].in_(values))
    texts = [value for value in map(str, values) if _is_storable(value)]
    is_own = _known(COLUMNS[field].in_(texts))
    if field is not Builtin.FILENAME:
        return is_own
    further = _has_term(FURTHER_NAME, TERMS.c.term.in_([term(text) for text in texts]))
    return or_(is_own, further)


def _is_in_order(field: Field, order: Order, value: Value) -> Clause:
    compare = COMPARE[order]
    if isinstance(field, Key):
        if isinstance(value, str):
            return _has_term(term(field.name), compare(TERMS.c.string, string_order(value)))
        assert isinstance(value, int | float)
        return _has_term(term(field.name), compare(TERMS.c.number, number_order(value)))
    if isinstance(value, str):
        bound = string_order(value)
        # As bytes: texts would be compared by the collation of the database.
        is_own = _known(compare(cast(COLUMNS[field], LargeBinary), bound))
        if field is not Builtin.FILENAME:
            return is_own
        return or_(is_own, _has_term(FURTHER_NAME, compare(TERMS.c.string, bound)))
    return _known(compare(COLUMNS[field], value))


def _is_there(field: Builtin) -> Clause:
    """Whether the field has a value; a video's facts are none until it has been read."""
    return true() if field in _ALWAYS_THERE else COLUMNS[field].is_not(None)


def _is_storable(text: str) -> bool:
    """Whether a database can look for the text: none has NUL, nor half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _has_term(key: str, *claims: Clause) -> Clause:
    """The video has a term under the key, of which the claims are true."""
    found = select(TERMS.c.video_id).where(TERMS.c.key == key, *claims)
    return VIDEOS.c.id.in_(found)


def _known(claim: Clause) -> Clause:
    """The claim, and false where its column has no value."""
    return func.coalesce(claim, false())
