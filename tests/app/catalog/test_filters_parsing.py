"""The filter language as a language: what is printed can be read, and nothing else gets through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.errors import InvalidFilter
from app.catalog.filters import (
    COMBINERS,
    EVERYTHING,
    MAX_DEPTH,
    METADATA_PREFIX,
    OPERATORS,
    ORDERS,
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
    parse_filter,
)
from app.catalog.format_names import codec_name, container_name

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=4)
seconds = st.floats(-1e6, 1e6)
instants = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(fold=0))  # in UTC no hour comes twice
names = st.sampled_from([*map(str, Builtin), *OPERATORS, *COMBINERS])
keys = st.builds(Key, st.text(max_size=5) | names)
TEXTS = (Builtin.VIDEO_ID, Builtin.FILENAME, Builtin.SHA256, Builtin.CONTAINER, Builtin.CODEC)
AS_STORED: dict[Field, Callable[[str], str]] = {
    Builtin.SHA256: str.lower,
    Builtin.CODEC: codec_name,
    Builtin.CONTAINER: container_name,
}


def values_of(field: Field) -> st.SearchStrategy[Any]:
    """What the field may be equal to."""
    if isinstance(field, Key):
        return scalars
    if field is Builtin.CREATED:
        return instants
    if field not in TEXTS:
        return seconds
    return st.text(max_size=4).map(AS_STORED.get(field, str))


def ordered_values_of(field: Field) -> st.SearchStrategy[Any]:
    """What the field may be less or more than."""
    return numbers | st.text(max_size=4) if isinstance(field, Key) else values_of(field)


fields = keys | st.sampled_from(Builtin)
leaves = st.one_of(
    fields.flatmap(
        lambda field: st.builds(
            Among, st.just(field), st.lists(values_of(field), max_size=3).map(tuple)
        )
    ),
    fields.flatmap(
        lambda field: st.builds(
            Compare, st.just(field), st.sampled_from(ORDERS), ordered_values_of(field)
        )
    ),
    st.builds(Exists, fields),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        # A list of one is its part, and says so when it is read.
        st.builds(
            lambda parts: And(tuple(parts)),
            st.lists(inner, max_size=3).filter(lambda parts: len(parts) != 1),
        ),
        st.builds(lambda parts: Or(tuple(parts)), st.lists(inner, max_size=3)),
    ),
    max_leaves=8,
)


def printed(condition: Condition) -> dict[str, Any]:
    """The condition as a filter object, every operator written out."""
    match condition:
        case And(parts):
            return {"and": [printed(part) for part in parts]}
        case Or(parts):
            return {"or": [printed(part) for part in parts]}
        case Not(part):
            return {"not": printed(part)}
        case Among(field, values):
            return {name(field): {"in": [written(value) for value in values]}}
        case Compare(field, order, value):
            return {name(field): {order: written(value)}}
        case Exists(field):
            return {name(field): {"exists": True}}


def name(field: Field) -> str:
    return METADATA_PREFIX + field.name if isinstance(field, Key) else str(field)


def written(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def typed(condition: Any) -> Any:
    """The condition so that 1, 1.0 and true are three things, as they are in JSON."""
    if isinstance(condition, And | Or):
        return type(condition).__name__, [typed(part) for part in condition.parts]
    if isinstance(condition, Not):
        return "Not", typed(condition.part)
    return repr(condition)


@given(condition=conditions)
def test_what_is_printed_is_read_again(condition: Condition) -> None:
    """Every condition there is can be written, and is the same when it is read."""
    assert typed(parse_filter(printed(condition))) == typed(condition)


# Any JSON, made mostly of the words of the language, so that reading gets far before it fails.
words = st.sampled_from(
    [*OPERATORS, *COMBINERS, *Builtin, "camera", "metadata.", "metadata.x", "$gt", ""]
)
anything = st.recursive(
    scalars | words | st.sampled_from(["2026-05-04T03:02:01Z", "2026-05-04"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@given(raw=st.dictionaries(words, anything, max_size=3) | anything)
def test_any_json_is_read_or_refused_at_a_place_in_it(raw: Any) -> None:
    """No other error ever comes, and the path of a refusal can be walked from the outside in."""
    try:
        parse_filter(raw)
    except InvalidFilter as refusal:
        place: Any = raw
        for step in refusal.path:
            assert isinstance(place, Mapping | Sequence)
            place = place[step]


@given(field=fields, data=st.data())
def test_short_forms_mean_their_long_forms(field: Field, data: st.DataObject) -> None:
    """A value is `eq`, a list is `in`, `ne` is not `eq`, and several operators all hold."""
    key = name(field)
    one, other = (written(data.draw(values_of(field))) for _ in range(2))
    equal = parse_filter({key: {"eq": one}})
    assert parse_filter({key: one}) == equal
    assert parse_filter({key: [one, other]}) == parse_filter({key: {"in": [one, other]}})
    assert parse_filter({key: {"ne": one}}) == Not(equal)
    assert parse_filter({key: {"exists": False}}) == Not(Exists(field))
    both = parse_filter({key: {"eq": one, "ne": other}})
    assert both == And((equal, Not(parse_filter({key: {"eq": other}}))))


@given(parts=st.lists(leaves, max_size=4))
def test_fields_side_by_side_all_hold(parts: list[Condition]) -> None:
    """An object of several fields is the conjunction of one-field objects, in their order."""
    merged: dict[str, Any] = {}
    for part in parts:
        merged = {**printed(part), **merged}
    read = [parse_filter({key: value}) for key, value in merged.items()]
    expected = read[0] if len(read) == 1 else And(tuple(read))
    assert parse_filter(merged) == expected


@given(
    moment=st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    minutes=st.integers(-14 * 60, 14 * 60),
    separator=st.sampled_from("Tt "),
)
def test_an_instant_is_the_same_at_every_offset(
    moment: datetime, minutes: int, separator: str
) -> None:
    """The offset says where the clock hung, not when it was; it is read as UTC."""
    local = moment.astimezone(timezone(timedelta(minutes=minutes)))
    read = parse_filter({"created": local.isoformat(sep=separator)})
    assert read == Among(Builtin.CREATED, (moment,))
    assert isinstance(read, Among)
    (value,) = read.values
    assert isinstance(value, datetime)
    assert value.utcoffset() == timedelta(0)


@given(depth=st.integers(1, MAX_DEPTH + 4))
def test_depth_is_counted_from_the_outermost_object(depth: int) -> None:
    """Whatever combines them: the sixteenth object is read, the seventeenth is not."""
    wanted: Any = {"camera": 1}
    for level in range(depth - 1):
        wanted = ({"not": wanted}, {"and": [wanted]}, {"or": [wanted]})[level % 3]
    if depth <= MAX_DEPTH:
        parse_filter(wanted)
    else:
        with pytest.raises(InvalidFilter, match="nested"):
            parse_filter(wanted)


def test_nothing_wanted_is_everything() -> None:
    """No filter, an empty one, and an empty list of those that must hold."""
    for nothing in (None, {}, {"and": []}, {"and": [{}]}):
        assert parse_filter(nothing) == EVERYTHING
    assert parse_filter({"or": []}) == Or(())
