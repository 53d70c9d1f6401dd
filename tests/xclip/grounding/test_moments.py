"""Moments of ranked windows: one for each event, with its bounds."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xclip.grounding.moments import MOST_SHARED, ScoredWindows, moment_spans
from xclip.grounding.suppression import suppress
from xclip.video.sampling import Segmentation, windows

DURATION_S = 30.0


def scored(scale: Segmentation, events: list[tuple[float, float]]) -> ScoredWindows:
    """The windows of one video, each scored by the share of it that shows an event."""
    places = windows(DURATION_S, scale)
    starts = np.array([one.start for one in places])
    ends = np.array([one.end for one in places])
    shares = [
        (np.minimum(ends, last) - np.maximum(starts, first)).clip(0) / (ends - starts)
        for first, last in events
    ]
    return ScoredWindows(
        np.zeros(len(places), np.int64), starts, ends, 10 * sum(shares, np.zeros(len(places)))
    )


def both(events: list[tuple[float, float]]) -> tuple[ScoredWindows, ScoredWindows]:
    coarse, fine = (scored(Segmentation(2 * s, s), events) for s in (2.5, 1.25))
    columns = (
        np.concatenate(pair)
        for pair in zip(
            (coarse.videos, coarse.starts, coarse.ends, coarse.scores),
            (fine.videos, fine.starts, fine.ends, fine.scores),
            strict=True,
        )
    )
    return ScoredWindows(*columns), fine


def test_two_events_are_two_moments_and_a_long_one_is_one():
    """However many windows show it, an event is one result with its own bounds."""
    events = [(2.5, 5.0), (11.25, 20.0)]
    windows_of, curve = both(events)
    found = itertools.islice(moment_spans(windows_of, curve), 2)
    assert sorted((one.start, one.end) for one in found) == events


@given(st.lists(st.integers(-5, 5), min_size=24, max_size=24))
def test_every_candidate_is_in_a_moment_or_shares_with_one(values: list[int]) -> None:
    """Nothing is lost: what is no moment shares too much with one; and no two moments do."""
    candidates, _ = both([])
    scores = np.resize(np.array(values, np.float64), len(candidates.starts))
    candidates = ScoredWindows(candidates.videos, candidates.starts, candidates.ends, scores)
    fine = slice(len(windows(DURATION_S, Segmentation())), None)
    curve = ScoredWindows(
        candidates.videos[fine], candidates.starts[fine], candidates.ends[fine], scores[fine]
    )
    found = list(moment_spans(candidates, curve))
    order = [scores[one.window] for one in found]
    assert order == sorted(order, reverse=True)
    spans = np.array([(one.start, one.end) for one in found])
    zeros = np.zeros(len(found))
    assert len(suppress(zeros.astype(np.int64), *spans.T, zeros, MOST_SHARED)) == len(found)


def test_without_a_curve_a_moment_is_its_window():
    """Candidates of a video that has no fine windows keep their own bounds."""
    candidates = scored(Segmentation(), [(5.0, 10.0)])
    empty = ScoredWindows(*(column[:0] for column in (candidates.videos, *[candidates.starts] * 3)))
    best = next(moment_spans(candidates, empty))
    assert (best.start, best.end) == (5.0, 10.0)
