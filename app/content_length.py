"""Content-Length: the length that a request declares for its body, before any of it has come."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers

_MOST_DIGITS: Final = 20  # already more than any limit; and int() refuses thousands of them


def content_length(headers: Headers) -> int:
    """The declared bytes, exact below 10²⁰ and at least 10¹⁹ above; 0 if nothing is declared."""
    digits = headers.get("content-length", "")
    return int(digits.lstrip("0")[:_MOST_DIGITS] or "0") if digits.isdecimal() else 0
