"""Non-maximum suppression, against its definition spelled out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip.grounding.suppression import suppress

SPANS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(1, 6), st.integers(-3, 3)),
    max_size=14,
)


def columns(spans: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, ...]:
    table = np.array(spans, np.int64).reshape(-1, 4)
    starts = table[:, 1].astype(np.float64)
    return table[:, 0], starts, starts + table[:, 2], table[:, 3].astype(np.float64)


def by_hand(spans: list[tuple[int, int, int, int]], most_shared: float) -> list[int]:
    """Take the best that is left, then leave out all that share too much with it."""
    left = sorted(
        range(len(spans)),
        key=lambda i: (-spans[i][3], spans[i][0], spans[i][1], spans[i][1] + spans[i][2], i),
    )
    kept = []
    while left:
        best, *left = left
        kept.append(best)
        video, start, length, _ = spans[best]
        left = [
            i
            for i in left
            if spans[i][0] != video
            or min(start + length, spans[i][1] + spans[i][2]) - max(start, spans[i][1])
            <= most_shared * min(length, spans[i][2])
        ]
    return kept


@given(SPANS, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_what_stays_is_what_the_definition_leaves(
    spans: list[tuple[int, int, int, int]], most_shared: float
) -> None:
    """The same spans in the same order as by taking the best and dropping what shares with it."""
    assert suppress(*columns(spans), most_shared).tolist() == by_hand(spans, most_shared)


def test_a_fine_window_inside_a_coarse_one_is_the_same_event():
    """Of two scales the better window stays, whichever it is."""
    videos, starts, ends = np.array([0, 0]), np.array([0.0, 1.25]), np.array([5.0, 3.75])
    assert suppress(videos, starts, ends, np.array([1.0, 2.0]), 0.5).tolist() == [1]
    assert suppress(videos, starts, ends, np.array([2.0, 1.0]), 0.5).tolist() == [0]


def test_neighbours_that_only_touch_are_two_events():
    """With nothing shared allowed, a span may still begin where another ends."""
    videos, starts, ends = np.array([0, 0]), np.array([0.0, 0.1 + 0.2]), np.array([0.3, 5.0])
    assert suppress(videos, starts, ends, np.array([1.0, 2.0]), 0.0).tolist() == [1, 0]


def test_a_share_beyond_the_whole_is_refused():
    """A share is no percentage."""
    empty = np.empty(0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        suppress(np.empty(0, np.int64), empty, empty, empty, 50)
