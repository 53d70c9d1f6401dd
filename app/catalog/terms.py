"""Metadata as terms: JSON scalars turned into text that is equal exactly when they are.

A term is the scalar's JSON text, so `true`, `1` and `"1"` stay three things in every database;
whole floats are written as integers, so `1.0` is `1`. JSON text is pure ASCII: NUL characters and
lone surrogates, which databases refuse, never reach one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TypeGuard

from app.catalog.errors import InvalidFilter, InvalidMetadata
from app.catalog.records import Filter, Json, Metadata, Scalar

MAX_TERM_CHARS = 200  # longer ones are kept as a digest: indexes refuse entries beyond ~2.7 kB
MAX_FILTER_VALUES = 1000


def check_metadata(metadata: Metadata) -> None:
    """Raise InvalidMetadata unless the mapping is a JSON object, NaN and infinities excluded."""
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise InvalidMetadata("metadata must be an object whose keys are strings")
    try:
        json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMetadata(f"metadata must be JSON: {error}") from error


def metadata_terms(metadata: Metadata) -> dict[str, str]:
    """The terms of checked metadata's scalar values, by the term of their key."""
    return {_term(key): _term(value) for key, value in metadata.items() if _is_scalar(value)}


def filter_terms(wanted: Filter) -> list[tuple[str, list[Scalar]]]:
    """The filter's keys with the values any of which will do, checked but not yet as terms.

    Raises InvalidFilter naming the key whose value is no scalar and no list of scalars.
    """
    if not isinstance(wanted, Mapping):
        raise InvalidFilter("a filter must be an object")
    return [(key, _values(key, value)) for key, value in wanted.items()]


def term(value: Scalar) -> str:
    """The term to look for in the index; InvalidFilter for a number JSON cannot hold."""
    try:
        return _term(value)
    except ValueError as error:
        raise InvalidFilter(f"a filter value must be JSON: {error}") from error


def _values(key: object, value: object) -> list[Scalar]:
    if not isinstance(key, str):
        raise InvalidFilter(f"filter keys must be strings, not {key!r}")
    if _is_scalar(value):
        return [value]
    if not isinstance(value, list | tuple) or not all(_is_scalar(each) for each in value):
        raise InvalidFilter(f"filter {key!r}: give a scalar or a list of scalars")
    if len(value) > MAX_FILTER_VALUES:
        raise InvalidFilter(f"filter {key!r}: {len(value)} values, at most {MAX_FILTER_VALUES}")
    return list(value)


def _is_scalar(value: Json | object) -> TypeGuard[Scalar]:
    return value is None or isinstance(value, bool | int | float | str)


def _term(value: Scalar) -> str:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    text = json.dumps(value, allow_nan=False)
    if len(text) <= MAX_TERM_CHARS:
        return text
    return f"sha256:{hashlib.sha256(text.encode('ascii')).hexdigest()}"
