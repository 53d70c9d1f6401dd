"""Terms as an index: equal exactly when the scalars are, and sorted as the scalars are."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.catalog.errors import InvalidMetadata
from app.catalog.metadata_terms import (
    MAX_TERM_CHARS,
    check_metadata,
    is_scalar,
    metadata_terms,
    number_order,
    string_order,
    term,
)

integers = st.integers() | st.integers(-(2**80), 2**80) | st.sampled_from([10**400, -(10**400)])
floats = st.floats(allow_nan=False, allow_infinity=False)
numbers = integers | floats
scalars = st.none() | st.booleans() | numbers | st.text(max_size=3)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(values=st.lists(numbers, max_size=12))
def test_sorting_the_bytes_sorts_the_numbers(values: list[Any]) -> None:
    """Against exact fractions: the order is total, and no two different numbers are one."""
    by_bytes = sorted(values, key=number_order)
    assert list(map(Fraction, by_bytes)) == sorted(map(Fraction, values))
    assert len({number_order(value) for value in values}) == len({Fraction(v) for v in values})


@given(values=st.lists(st.text(max_size=4), max_size=12))
@example(["\ud800", "\uffff", "\U00010000", "\ue000"])
def test_sorting_the_bytes_sorts_the_strings(values: list[str]) -> None:
    """By code point, also for lone surrogates and beyond the basic plane."""
    assert sorted(values, key=string_order) == sorted(values)


@given(one=scalars, other=scalars)
@example(True, 1)
@example(1, 1.0)
@example(0.0, -0.0)
@example("1", 1)
@example(None, "null")
def test_terms_are_equal_exactly_when_the_values_are(one: Any, other: Any) -> None:
    """As in JSON: 1 is 1.0, and neither is true nor "1"."""

    def kind(value: Any) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "number" if number else type(value).__name__

    same = kind(one) == kind(other) and one == other
    assert (term(one) == term(other)) == same


@given(value=st.text() | numbers)
def test_a_term_is_short_ascii(value: Any) -> None:
    """Whatever it stands for: no database refuses it or compares it by a collation."""
    written = term(value)
    assert written.isascii()
    assert "\0" not in written
    assert len(written) <= MAX_TERM_CHARS


@given(metadata=st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_each_scalar_is_found_under_its_key(metadata: dict[str, Any]) -> None:
    """A value's own, or those in its list; what lies deeper is not indexed, but its key is."""
    found: dict[str, set[str | None]] = {}
    for each in metadata_terms(metadata):
        found.setdefault(each.key, set()).add(each.term)
    expected = {}
    for key, value in metadata.items():
        elements = value if isinstance(value, list) else [value]
        expected[term(key)] = {term(e) for e in elements if is_scalar(e)} or {None}
    assert found == expected


@given(metadata=st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_a_term_has_an_order_of_its_own_type_or_none(metadata: dict[str, Any]) -> None:
    """Numbers are ordered among numbers and strings among strings; the rest has no order."""
    for each in metadata_terms(metadata):
        text = each.term
        if text is None or text in ("null", "true", "false"):
            assert (each.number, each.string) == (None, None)
        elif each.string is not None:
            assert each.number is None
            assert text.startswith(('"', "sha256:"))
        elif not text.startswith("sha256:"):  # of a number with more digits than a term has
            assert each.number == number_order(json.loads(text))
        else:
            assert each.number is not None


@given(metadata=st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_json_objects_are_metadata(metadata: dict[str, Any]) -> None:
    """Any object that JSON can hold is taken as it is."""
    check_metadata(metadata)


def endless() -> Any:
    circle: list[Any] = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize(
    "wrong",
    [
        ["a"],
        {1: "a"},
        {"a": float("nan")},
        {"a": [float("inf")]},
        {"a": {"b": -float("inf")}},
        {"a": b"bytes"},
        {"a": {1, 2}},
        {"a": object()},
        {"a": endless()},
    ],
    ids=["list", "number as key", "NaN", "inf", "deep inf", "bytes", "set", "object", "circle"],
)
def test_what_json_cannot_hold_is_no_metadata(wrong: Any) -> None:
    """It would come back as something else, or not at all."""
    with pytest.raises(InvalidMetadata, match="metadata must be"):
        check_metadata(wrong)
