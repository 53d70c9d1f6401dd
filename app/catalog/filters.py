"""Filter language: parses a JSON object into conditions, as `docs/filters.md` describes.

How a condition becomes SQL is in `app.catalog.sql.filter_clauses`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal, TypeAlias, get_args

from app.catalog.errors import InvalidFilter
from app.catalog.format_names import codec_name, container_name
from app.catalog.metadata_terms import is_scalar, term
from app.catalog.records import Filter, Scalar

MAX_DEPTH = 16
MAX_CONDITIONS = 200
MAX_LIST = 1_000
MAX_VALUES = 10_000  # of all lists together; SQLite takes some 32,000 parameters in a statement

Order = Literal["gt", "gte", "lt", "lte"]
Combiner = Literal["and", "or", "not"]
ORDERS: tuple[Order, ...] = get_args(Order)
COMBINERS: tuple[Combiner, ...] = get_args(Combiner)
OPERATORS = ("eq", "ne", "in", *ORDERS, "exists")
METADATA_PREFIX = "metadata."

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_ECHO = 100  # characters of a refused word that the message repeats

Path: TypeAlias = tuple[str | int, ...]  # keys and list indices from the filter to a value


class Builtin(StrEnum):
    """Fields that every segment has, whatever its video's metadata."""

    VIDEO_ID = "video_id"
    FILENAME = "filename"
    SHA256 = "sha256"
    SIZE = "size"
    CONTAINER = "container"
    CODEC = "codec"
    WIDTH = "width"
    HEIGHT = "height"
    DURATION = "duration"
    CREATED = "created"
    START = "start"
    END = "end"


TEXTS = (Builtin.VIDEO_ID, Builtin.FILENAME, Builtin.SHA256, Builtin.CONTAINER, Builtin.CODEC)
# Of texts that the service names itself, and not the user.
_AS_STORED: Mapping[Builtin, Callable[[str], str]] = {
    Builtin.CODEC: codec_name,
    Builtin.CONTAINER: container_name,
    Builtin.SHA256: str.lower,
}
_UNITS = {Builtin.SIZE: "bytes", Builtin.WIDTH: "pixels", Builtin.HEIGHT: "pixels"}


@dataclass(frozen=True, slots=True)
class Key:
    """A top-level key of the video's metadata."""

    name: str


Field: TypeAlias = Builtin | Key
Value: TypeAlias = Scalar | datetime


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; without parts, everything does."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds; without parts, nothing does."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Among:
    """The field is one of the values: `eq` and `in`. Instants are in UTC."""

    field: Field
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """The field is of the value's type and stands in this order to it."""

    field: Field
    operator: Order
    value: str | int | float | datetime


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there, whatever its value."""

    field: Field


Condition: TypeAlias = And | Or | Not | Among | Compare | Exists

EVERYTHING = And(())


def parse_filter(raw: Filter | None) -> Condition:
    """The condition of a filter object; None means the same as `{}`: everything.

    Raises InvalidFilter, whose `path` leads into `raw`.
    """
    return EVERYTHING if raw is None else _Reader().read(raw, (), 1)


def metadata_keys(condition: Condition | None) -> tuple[str, ...]:
    """The metadata's keys that a condition names, each once."""
    keys: dict[str, None] = {}
    todo: list[Condition | None] = [condition]
    while todo:
        match todo.pop():
            case And(parts) | Or(parts):
                todo += reversed(parts)
            case Not(part):
                todo.append(part)
            case Among(Key(name)) | Compare(Key(name)) | Exists(Key(name)):
                keys[name] = None
    return tuple(keys)


class _Reader:
    """Reads one filter, and counts what answering it will cost."""

    def __init__(self) -> None:
        self._conditions = 0
        self._values = 0

    def read(self, raw: object, path: Path, depth: int) -> Condition:
        """The filter object at `path`, `depth` objects deep."""
        if depth > MAX_DEPTH:
            raise InvalidFilter(f"filters may be nested {MAX_DEPTH} deep, not deeper", path)
        if not isinstance(raw, Mapping):
            raise InvalidFilter('a filter must be an object, as in {"camera": "north"}', path)
        return _all([self._entry(key, raw[key], (*path, key), depth) for key in raw])

    def _entry(self, key: object, value: object, path: Path, depth: int) -> Condition:
        if not isinstance(key, str):
            raise InvalidFilter(f"names in a filter must be strings, not {_echo(key)}", path[:-1])
        if key == "not":
            return Not(self.read(value, path, depth + 1))
        if key in COMBINERS:
            if not isinstance(value, list | tuple):
                raise InvalidFilter(f"{key!r} takes a list of filters", path)
            parts = [self.read(part, (*path, index), depth + 1) for index, part in enumerate(value)]
            return _all(parts) if key == "and" else Or(tuple(parts))
        if key in OPERATORS:
            raise InvalidFilter(
                f"{key!r} is an operator and belongs in the object of a field, as in "
                f'{{"duration": {{"gte": 10}}}}; a metadata key of that name is '
                f"{METADATA_PREFIX + key!r}",
                path,
            )
        return self._field(_field(key), value, path)

    def _field(self, field: Field, value: object, path: Path) -> Condition:
        if isinstance(value, Mapping):
            if not value:
                raise InvalidFilter(f"name an operator: {_listed(OPERATORS)}", path)
            return _all([self._operator(field, key, value[key], (*path, key)) for key in value])
        operator = "in" if isinstance(value, list | tuple) else "eq"
        return self._operator(field, operator, value, path)

    def _operator(self, field: Field, operator: object, value: object, path: Path) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise InvalidFilter(f"a filter may have {MAX_CONDITIONS} conditions, not more", path)
        if operator == "eq":
            return Among(field, (_value(field, value, path),))
        if operator == "ne":
            return Not(Among(field, (_value(field, value, path),)))
        if operator == "in":
            return Among(field, self._list(field, value, path))
        if operator == "exists":
            if not isinstance(value, bool):
                raise InvalidFilter("'exists' takes true or false", path)
            return Exists(field) if value else Not(Exists(field))
        for order in ORDERS:
            if operator == order:
                return Compare(field, order, _ordered(field, value, path))
        raise _unknown_operator(operator, path)

    def _list(self, field: Field, values: object, path: Path) -> tuple[Value, ...]:
        if not isinstance(values, list | tuple):
            raise InvalidFilter("'in' takes a list of values", path)
        if len(values) > MAX_LIST:
            raise InvalidFilter(f"a list may have {MAX_LIST} values, not {len(values)}", path)
        self._values += len(values)
        if self._values > MAX_VALUES:
            raise InvalidFilter(f"the lists of a filter may have {MAX_VALUES} values in all", path)
        return tuple(_value(field, value, (*path, index)) for index, value in enumerate(values))


def _all(parts: Sequence[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _field(key: str) -> Field:
    if key.startswith(METADATA_PREFIX):
        return Key(key.removeprefix(METADATA_PREFIX))
    return Builtin(key) if key in list(Builtin) else Key(key)


def _value(field: Field, value: object, path: Path) -> Value:
    """One value that the field may be equal to."""
    if isinstance(field, Builtin):
        return _builtin_value(field, value, path)
    if not is_scalar(value):
        hint = "; use 'in' for several" if isinstance(value, list | tuple) else ""
        raise InvalidFilter(f"give one string, number, true, false or null{hint}", path)
    try:
        term(value)
    except ValueError as error:
        raise InvalidFilter("not a number that JSON can hold", path) from error
    return value


def _ordered(field: Field, value: object, path: Path) -> str | int | float | datetime:
    """One value that the field may be less or more than."""
    checked = _value(field, value, path)
    if checked is None or isinstance(checked, bool):
        raise InvalidFilter("only numbers and strings have an order; use 'eq' or 'ne'", path)
    return checked


def _builtin_value(field: Builtin, value: object, path: Path) -> str | float | datetime:
    if field in TEXTS:
        if not isinstance(value, str):
            raise InvalidFilter(f"{field} is a string{_or_metadata(field)}", path)
        return _AS_STORED.get(field, str)(value)
    if field is Builtin.CREATED:
        return _instant(value, path)
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
            return float(value)
    except OverflowError:
        pass
    unit = _UNITS.get(field, "seconds")
    raise InvalidFilter(f"{field} is a number of {unit}{_or_metadata(field)}", path)


def _or_metadata(field: Builtin) -> str:
    """What to say to one who means the metadata's key of that name."""
    return f"; the metadata's key is {METADATA_PREFIX + field!r}"


def _instant(value: object, path: Path) -> datetime:
    """An RFC 3339 time, in UTC."""
    try:
        if isinstance(value, str) and _RFC3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # a thirteenth month, or an offset that leads out of the calendar
    raise InvalidFilter(
        "created is a time with its offset (RFC 3339, to the microsecond), as in "
        '"2026-05-04T03:02:01Z"',
        path,
    )


def _unknown_operator(operator: object, path: Path) -> InvalidFilter:
    if not isinstance(operator, str):
        return InvalidFilter(f"operators must be strings, not {_echo(operator)}", path[:-1])
    if operator in COMBINERS:
        return InvalidFilter(
            f"{operator!r} combines whole filters: write it around the field, as in "
            '{"not": {"camera": "north"}}',
            path,
        )
    return InvalidFilter(
        f"unknown operator {_echo(operator)}; the operators are {_listed(OPERATORS)}", path
    )


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _echo(word: object) -> str:
    return repr(word)[:_ECHO]
