"""Terms: forms of metadata that databases compare as JSON is compared."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.catalog.metadata_terms import MAX_TERM_CHARS, metadata_terms, number_order, string_order

LARGE = [2**53, 2**53 + 1, float(2**53), 2**70, 10**400, -(10**400), 1e308, 5e-324, -0.0, 0]
values = st.sampled_from(LARGE) | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)


@given(left=values, right=values, near=st.integers(-2, 2))
def test_bytes_have_the_order_of_what_they_stand_for(left: Any, right: Any, near: int) -> None:
    """Numbers of any size, whole or not, and strings by code point, are ordered exactly."""
    pairs = [(left, right)]
    if isinstance(left, int):
        pairs += [(left, left + near), (left * 2**60, left * 2**60 + near)]
    for one, other in pairs:
        for order_of, types in ((number_order, int | float), (string_order, str)):
            if isinstance(one, types) and isinstance(other, types):
                a, b = order_of(one), order_of(other)  # type: ignore[operator]
                assert (one < other, one == other) == (a < b, a == b)


def test_terms_stay_short() -> None:
    """However long a value is, its term fits every database's index, and stays its own."""
    long = "x" * 10_000
    terms = metadata_terms({"a": long, "b": [long + "y", long], "c" * 9000: 10**4000})
    for each in terms:
        assert each.term is not None
        assert max(len(each.key), len(each.term)) < MAX_TERM_CHARS
        assert each.number is None or len(each.number) < 2_000
    assert len({each.term for each in terms}) == 3
    assert len(terms) == 4


def test_a_key_has_its_terms_once() -> None:
    """Equal elements are one term; a key without a scalar has one that says it is there."""
    terms = metadata_terms({"a": [1, 1.0, True, [2], {"b": 3}], "b": [], "c": {"d": 1}, "d": [[]]})
    assert [(each.key, each.term) for each in terms] == [
        ('"a"', "1"),
        ('"a"', "true"),
        ('"b"', None),
        ('"c"', None),
        ('"d"', None),
    ]
