"""Content-Length: every declared length is read, or counted as larger than any limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.content_length import content_length


@given(st.integers(0, 10**20 - 1), st.integers(0, 5000))
def test_leading_zeros_change_nothing(length: int, zeros: int) -> None:
    """The parser lets them through, so a large body cannot hide behind them."""
    assert content_length(Headers({"content-length": "0" * zeros + str(length)})) == length


@given(st.integers(20, 6000))
def test_more_digits_than_an_integer_may_have_are_a_large_length(digits: int) -> None:
    """Python refuses to read thousands of digits; the header is still above every limit."""
    assert content_length(Headers({"content-length": "9" * digits})) > 10**19


@pytest.mark.parametrize(
    "text", [None, "", "-1", "+1", "1.0", "0x1", "1, 1", "²", "½", " 1", "1_0"]
)
def test_what_is_no_number_declares_nothing(text: str | None) -> None:
    """Such a request is refused by the parser; the helper must not fail before."""
    assert content_length(Headers({} if text is None else {"content-length": text})) == 0
