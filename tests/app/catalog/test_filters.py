"""The filter language: what it refuses, where and in which words, and how much it takes."""

from __future__ import annotations

from typing import Any

import pytest

from app.catalog.errors import InvalidFilter
from app.catalog.filters import Builtin, parse_filter
from app.catalog.records import Filter


def nested(depth: int) -> Filter:
    wanted: Filter = {"day": 1}
    for _ in range(depth - 1):
        wanted = {"not": wanted}
    return wanted


@pytest.mark.parametrize(
    ("wanted", "path", "words"),
    [
        (["day"], (), "must be an object"),
        ("day", (), "must be an object"),
        ({1: "day"}, (), "must be strings, not 1"),
        ({"day": {"near": 1}}, ("day", "near"), "'near'; the operators are eq, ne, .* and exists"),
        ({"day": {"$gt": 1}}, ("day", "$gt"), r"unknown operator '\$gt'"),
        ({"day": {2: 1}}, ("day",), "operators must be strings"),
        ({"day": {}}, ("day",), "name an operator: eq"),
        ({"day": {"not": 1}}, ("day", "not"), "'not' combines whole filters"),
        ({"gte": 10}, ("gte",), "'gte' is an operator .* 'metadata.gte'"),
        ({"exists": "day"}, ("exists",), "'exists' is an operator"),
        ({"and": {"day": 1}}, ("and",), "'and' takes a list of filters"),
        ({"or": [{"day": 1}, 5]}, ("or", 1), "must be an object"),
        ({"or": [{}, {"not": {"day": {"is": 1}}}]}, ("or", 1, "not", "day", "is"), "unknown"),
        ({"not": [{"day": 1}]}, ("not",), "must be an object"),
        ({"day": [1, [2]]}, ("day", 1), "give one string, number"),
        ({"day": {"eq": [1, 2]}}, ("day", "eq"), "use 'in' for several"),
        ({"day": {"eq": {"a": 1}}}, ("day", "eq"), "give one string"),
        ({"day": {"in": "abc"}}, ("day", "in"), "'in' takes a list"),
        ({"day": {"in": [1, {}]}}, ("day", "in", 1), "give one string"),
        ({"day": {"gt": None}}, ("day", "gt"), "only numbers and strings have an order"),
        ({"day": {"lt": True}}, ("day", "lt"), "only numbers and strings have an order"),
        ({"day": {"exists": 1}}, ("day", "exists"), "true or false"),
        ({"day": float("nan")}, ("day",), "number that JSON can hold"),
        ({"day": [1.0, float("inf")]}, ("day", 1), "number that JSON can hold"),
        ({"day": 10**5000}, ("day",), "number that JSON can hold"),
        ({"day": b"1"}, ("day",), "give one string"),
        ({"day": list(range(1001))}, ("day",), "1000 values, not 1001"),
        ({f"k{n}": list(range(1000)) for n in range(11)}, ("k10",), "10000 values in all"),
        ({"or": [{"day": n} for n in range(201)]}, ("or", 200, "day"), "200 conditions"),
        (nested(17), ("not",) * 16, "nested 16 deep"),
        ({"duration": "long"}, ("duration",), "duration is a number of seconds"),
        ({"duration": {"gte": "10"}}, ("duration", "gte"), "number of seconds"),
        ({"start": [0, None]}, ("start", 1), "start is a number of seconds"),
        ({"end": True}, ("end",), "end is a number of seconds"),
        ({"end": 10**400}, ("end",), "end is a number of seconds"),
        ({"duration": float("nan")}, ("duration",), "number of seconds"),
        ({"video_id": 7}, ("video_id",), "video_id is a string"),
        ({"created": 1777863721}, ("created",), "RFC 3339"),
        ({"created": "2026-05-04T03:02:01"}, ("created",), "with its offset"),
        ({"created": {"lt": "2026-05-04"}}, ("created", "lt"), "with its offset"),
        ({"created": "2026-02-30T00:00:00Z"}, ("created",), "RFC 3339"),
        ({"created": "0001-01-01T00:00:00+14:00"}, ("created",), "RFC 3339"),
        ({"created": "2026-05-04T03:02:01.9876543Z"}, ("created",), "to the microsecond"),
    ],
)
def test_a_refusal_says_where_and_why(wanted: Any, path: tuple[str | int, ...], words: str) -> None:
    """The path leads to the wrong place, and the sentence says what belongs there."""
    with pytest.raises(InvalidFilter, match=words) as caught:
        parse_filter(wanted)
    assert path == caught.value.path


def test_the_bounds_are_no_narrower_than_they_say() -> None:
    """16 deep, 200 conditions, 1000 values in a list and 10000 in all are allowed."""
    parse_filter(nested(16))
    parse_filter({"or": [{"day": number} for number in range(200)]})
    parse_filter({f"k{number}": list(range(1000)) for number in range(10)})


def test_every_builtin_is_also_a_metadata_key() -> None:
    """The prefix reaches what the name alone does not, and is no part of other keys."""
    for field in Builtin:
        assert parse_filter({field: {"exists": True}}) != parse_filter(
            {f"metadata.{field}": {"exists": True}}
        )
    assert parse_filter({"metadata.day": 1}) == parse_filter({"day": 1})
