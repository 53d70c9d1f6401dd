"""The filter language once more, as plainly as it can be said, to compare the service with.

`allows` follows docs/filters.md and knows nothing of how the service answers filters.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from app.catalog.records import Segment, Video

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
KEYS = ["camera", "n", "tags"]
SCALARS: list[Any] = [0, 1, 1.0, 2.5, -3, "1", "north", "süd", "", True, False, None]
ORDERED = [value for value in SCALARS if value is not None and not isinstance(value, bool)]

scalars = st.sampled_from(SCALARS)
metadata = st.dictionaries(
    st.sampled_from(KEYS),
    st.one_of(scalars, st.lists(scalars, max_size=3), st.just({"north": 1})),
)


def filters(videos: Sequence[Video]) -> st.SearchStrategy[dict[str, Any]]:
    """Filters of any form that say something about these videos, at least one."""
    orders = st.sampled_from(list(ORDERS))
    of_key = st.one_of(
        scalars,
        st.lists(scalars, max_size=3),
        st.fixed_dictionaries(
            {},
            optional={
                "eq": scalars,
                "ne": scalars,
                "in": st.lists(scalars, max_size=3),
                "exists": st.booleans(),
            },
        ).filter(bool),
        st.dictionaries(orders, st.sampled_from(ORDERED), min_size=1, max_size=2),
    )
    seconds = st.integers(0, 6).map(lambda halves: halves / 2)
    instants = st.sampled_from([video.created_at.isoformat() for video in videos])
    ids = st.sampled_from([video.id for video in videos])
    leaves = st.one_of(
        st.dictionaries(st.sampled_from(KEYS), of_key, min_size=1),
        st.dictionaries(
            st.sampled_from(["duration", "start", "end"]),
            st.one_of(seconds, st.dictionaries(orders, seconds, min_size=1)),
            min_size=1,
        ),
        st.fixed_dictionaries({"created": st.dictionaries(orders, instants, min_size=1)}),
        st.fixed_dictionaries({"video_id": st.one_of(ids, st.lists(ids))}),
        st.fixed_dictionaries({"metadata.n": scalars}),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda part: {"not": part}, inner),
            st.builds(lambda parts: {"and": parts}, st.lists(inner, max_size=3)),
            st.builds(lambda parts: {"or": parts}, st.lists(inner, max_size=3)),
            st.builds(lambda one, two: one | two, inner, inner),
        ),
        max_leaves=6,
    )


def allows(wanted: dict[str, Any], video: Video, segment: Segment) -> bool:
    """Whether the filter lets this segment of this video through."""
    return all(_entry(key, value, video, segment) for key, value in wanted.items())


def _entry(key: str, value: Any, video: Video, segment: Segment) -> bool:
    if key == "and":
        return all(allows(part, video, segment) for part in value)
    if key == "or":
        return any(allows(part, video, segment) for part in value)
    if key == "not":
        return not allows(value, video, segment)
    if isinstance(value, list):
        value = {"in": value}
    if not isinstance(value, dict):
        value = {"eq": value}
    builtin = {
        "video_id": video.id,
        "duration": video.duration_s,
        "created": video.created_at,
        "start": segment.start_s,
        "end": segment.end_s,
    }
    if key in builtin:
        there, found = True, [builtin[key]]
    else:
        key = key.removeprefix("metadata.")
        there, kept = key in video.metadata, video.metadata.get(key)
        found = list(kept) if isinstance(kept, list | tuple) else [kept] if there else []
    return all(_holds(name, found, asked, there) for name, asked in value.items())


def _holds(name: str, found: list[Any], asked: Any, there: bool) -> bool:
    if name == "exists":
        return there is asked
    if name == "eq":
        return any(_same(one, asked) for one in found)
    if name == "ne":
        return not any(_same(one, asked) for one in found)
    if name == "in":
        return any(_same(one, each) for one in found for each in asked)
    return any(_in_order(name, one, asked) for one in found)


def _in_order(name: str, one: Any, asked: Any) -> bool:
    if isinstance(one, datetime):
        return ORDERS[name](one, datetime.fromisoformat(asked))
    return _kind(one) == _kind(asked) in ("number", "str") and ORDERS[name](one, asked)


def _same(one: Any, other: Any) -> bool:
    return _kind(one) == _kind(other) != "object" and one == other


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    if isinstance(value, int | float):
        return "number"
    return "str" if isinstance(value, str) else "object"
