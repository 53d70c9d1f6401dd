"""Metadata index: turns JSON scalars into terms that every database compares alike.

A term is a scalar's JSON text, so `true`, `1` and `"1"` stay three things; whole floats are written
as integers, so `1.0` is `1`. JSON text is pure ASCII: NUL characters and lone surrogates, which
databases refuse, never reach one. For order, numbers and strings are kept as bytes, which every
database compares one by one.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard

from app.catalog.errors import InvalidMetadata
from app.catalog.records import Json, Metadata, Scalar

MAX_TERM_CHARS = 200  # longer ones are kept as a digest: indexes refuse entries beyond ~2.7 kB

# The key under which further names of a video are found. It is no JSON text, so no metadata has it.
FURTHER_NAME: Final = "filename"


@dataclass(frozen=True, slots=True)
class Term:
    """A scalar under a key, or that the key is there and holds no scalar (`term` is None)."""

    key: str
    term: str | None
    number: bytes | None
    string: bytes | None


def check_metadata(metadata: Metadata) -> None:
    """Raise InvalidMetadata unless the mapping is a JSON object, NaN and infinities excluded."""
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise InvalidMetadata("metadata must be an object whose keys are strings")
    try:
        json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMetadata(f"metadata must be JSON: {error}") from error


def metadata_terms(metadata: Metadata) -> list[Term]:
    """The terms of checked metadata: one for each scalar value, or scalar element of a list.

    A key has at least one, and none twice.
    """
    return [each for key, value in metadata.items() for each in _terms_of(term(key), value)]


def name_terms(names: Sequence[str]) -> list[Term]:
    """The terms of a video's further names."""
    return [Term(FURTHER_NAME, term(name), None, string_order(name)) for name in names]


def term(value: Scalar) -> str:
    """Text that is equal exactly when the scalars are; ValueError for what JSON cannot hold."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    text = json.dumps(value, allow_nan=False)
    if len(text) <= MAX_TERM_CHARS:
        return text
    return f"sha256:{hashlib.sha256(text.encode('ascii')).hexdigest()}"


def number_order(value: float) -> bytes:
    """Bytes in the order of the numbers, exactly, also where doubles leave out integers.

    The nearest double comes first, as its bits with the sign turned; then how far the number is
    from it: length with its sign, and bytes.
    """
    try:
        nearest = float(value) + 0.0  # -0.0 is 0.0
    except OverflowError:
        nearest = math.inf if value > 0 else -math.inf
    rest = 0
    if isinstance(value, int):
        rest = value - int(nearest) if math.isfinite(nearest) else value
    (bits,) = struct.unpack(">Q", struct.pack(">d", nearest))
    bits = ~bits & (2**64 - 1) if bits >> 63 else bits | 1 << 63
    size = (abs(rest).bit_length() + 7) // 8
    length = 0x8000 + (size if rest >= 0 else -size)
    remainder: int = rest % 256**size
    return struct.pack(">QH", bits, length) + remainder.to_bytes(size, "big")


def string_order(value: str) -> bytes:
    """Bytes in the order of the strings' code points: UTF-8 has it, whatever the collation."""
    return value.encode("utf-8", "surrogatepass")


def is_scalar(value: object) -> TypeGuard[Scalar]:
    """Whether this is a JSON value without parts."""
    return value is None or isinstance(value, bool | int | float | str)


def _terms_of(key: str, value: Json) -> list[Term]:
    elements: Sequence[Json] = value if isinstance(value, list | tuple) else [value]
    scalars = {term(element): element for element in elements if is_scalar(element)}
    return [_term(key, text, scalar) for text, scalar in scalars.items()] or [
        Term(key, None, None, None)
    ]


def _term(key: str, text: str, value: Scalar) -> Term:
    if isinstance(value, str):
        return Term(key, text, None, string_order(value))
    if value is None or isinstance(value, bool):
        return Term(key, text, None, None)
    return Term(key, text, number_order(value), None)
