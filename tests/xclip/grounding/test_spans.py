"""Spans by contrast, against least squares over every span."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from xclip.grounding.spans import Bounds, span_by_contrast
from xclip.video.sampling import Segmentation, windows

BOUNDS = Bounds(step_s=1.0, shortest_s=1.0, reach_s=4.0, farthest_s=4.0)
Spot = tuple[np.ndarray, np.ndarray]


def left_over(span: Spot, starts: np.ndarray, ends: np.ndarray, below: np.ndarray) -> float:
    """What non-negative least squares leaves, with a level before the span and one after it."""
    before = (np.minimum(span[0], ends) - starts).clip(0) / (ends - starts)
    after = (ends - np.maximum(span[1], starts)).clip(0) / (ends - starts)
    # nnls bounds its unknowns from below, not the residual: negative `below` stays as it is
    return float(nnls(np.column_stack([before, after]), below)[1] ** 2)


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=9), st.data())
def test_no_span_explains_the_scores_better(values: list[int], data: st.DataObject) -> None:
    """By brute force over all spans that hold the middle of the window, none leaves less."""
    scores = np.array(values, np.float64)
    starts = np.arange(len(values), dtype=np.float64)
    ends = starts + 2
    best = data.draw(st.integers(0, len(values) - 1))
    found = span_by_contrast(starts, ends, scores, best, BOUNDS)
    near = (ends > starts[best] - 4) & (starts < ends[best] + 4)
    around = starts[near], ends[near], scores[best] - scores[near]
    edges, middle = np.arange(around[0].min(), around[1].max() + 1), starts[best] + 1
    least = min(
        left_over((first, last), *around)
        for first in edges
        for last in edges
        if last > first and first <= middle <= last
    )
    if least < (around[2] ** 2).sum() - 1e-6:
        assert left_over(found, *around) == pytest.approx(least, abs=1e-6)
    else:
        assert found == (starts[best], ends[best])


@pytest.mark.parametrize(
    ("first", "last"), [(6.25, 8.75), (7.5, 12.5), (5.0, 12.5), (5.0, 20.0), (0.0, 3.75)]
)
@pytest.mark.parametrize("near_miss", [0.0, 4.0])
def test_an_event_is_bounded_exactly(first: float, last: float, near_miss: float) -> None:
    """Where windows score by their share of an event, near miss or not, its bounds are found."""
    places = windows(40.0, Segmentation(2.5, 1.25))
    starts = np.array([one.start for one in places])
    ends = np.array([one.end for one in places])
    share = (np.minimum(ends, last) - np.maximum(starts, first)).clip(0) / 2.5
    after = (ends - np.maximum(starts, last)).clip(0) / 2.5
    scores = 3 + 8 * share + near_miss * after
    found = span_by_contrast(starts, ends, scores, int(scores.argmax()), Bounds())
    assert found == pytest.approx((first, last))


@pytest.mark.parametrize("count", [1, 4])
def test_without_contrast_the_window_is_the_span(count: int) -> None:
    """A single window, and windows that all score alike, have no other bounds."""
    starts = np.arange(count) * 2.5
    assert span_by_contrast(starts, starts + 5, np.zeros(count), 0, Bounds()) == (0.0, 5.0)
