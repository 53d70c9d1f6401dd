"""Chains of events: the dynamic programme against every chain there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.search.sequences import Chain, best_chain, chains, followers

WITHIN_S = st.sampled_from([0.0, 0.5, 1.0, 3.0, 100.0])


@st.composite
def videos(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (S, n) for 2 to 4 events, and windows in order of time, cut as a service does."""
    count, events = draw(st.integers(1, 7)), draw(st.integers(2, 4))
    stride, window = draw(st.sampled_from([(0.5, 0.5), (0.5, 1.0), (1.0, 3.0)]))
    starts = np.arange(count) * stride
    ends = starts + window
    starts[-1] -= draw(st.sampled_from([0.0, 0.25]))  # the last window ends with the video
    ends[-1] = starts[-1] + window
    number = st.integers(-5, 5).map(float)
    row = st.lists(number, min_size=count, max_size=count)
    scores = np.array(draw(st.lists(row, min_size=events, max_size=events)))
    return scores, starts, ends


def is_chain(chain: tuple[int, ...], starts: np.ndarray, ends: np.ndarray, within: float) -> bool:
    gaps = [starts[later] - ends[first] for first, later in itertools.pairwise(chain)]
    return all(0 <= gap <= within for gap in gaps)


@given(videos(), WITHIN_S)
def test_the_best_chain_is_the_best_of_all(
    video: tuple[np.ndarray, np.ndarray, np.ndarray], within: float
) -> None:
    """Of every way to choose a window for each event, in order and near enough, the best mean."""
    scores, starts, ends = video
    chains = [
        chain
        for chain in itertools.product(range(len(starts)), repeat=len(scores))
        if is_chain(chain, starts, ends, within)
    ]
    found = best_chain(scores, starts, ends, within)
    if found is None:
        assert not chains
        return
    means = [scores[range(len(scores)), chain].mean() for chain in chains]
    assert found.score == pytest.approx(max(means))
    assert found.windows in chains
    assert scores[range(len(scores)), found.windows].mean() == pytest.approx(found.score)


@given(videos(), WITHIN_S, st.integers(0, 5))
def test_each_chain_is_the_best_of_those_beside_the_ones_before(
    video: tuple[np.ndarray, np.ndarray, np.ndarray], within: float, most: int
) -> None:
    """None overlaps another, and they end where no further one fits or enough are found."""
    scores, starts, ends = video
    found = list(chains(scores, starts, ends, within, most))
    left = [
        chain
        for chain in itertools.product(range(len(starts)), repeat=len(scores))
        if is_chain(chain, starts, ends, within)
    ]
    for chain in found:
        means = [scores[range(len(scores)), other].mean() for other in left]
        assert chain.windows in left
        assert chain.score == pytest.approx(max(means))
        first, last = starts[chain.windows[0]], ends[chain.windows[-1]]
        left = [other for other in left if ends[other[-1]] <= first or starts[other[0]] >= last]
    assert len(found) == most or not left


def test_events_that_repeat_are_all_found() -> None:
    """Each time they follow each other, the best first."""
    starts = np.arange(6.0)
    scores = np.array([[5.0, 0, 9, 0, 7, 0], [0, 5, 0, 9, 0, 7]])
    assert list(chains(scores, starts, starts + 1, 0, 10)) == [
        Chain((2, 3), 9),
        Chain((4, 5), 7),
        Chain((0, 1), 5),
    ]


@given(videos(), WITHIN_S)
def test_followers_are_counted_as_chains_are_made(
    video: tuple[np.ndarray, np.ndarray, np.ndarray], within: float
) -> None:
    """A window is followed by those that make a chain of two with it."""
    _, starts, ends = video
    for window in range(len(starts)):
        pairs = [(window, later) for later in range(len(starts))]
        expected = sum(is_chain(pair, starts, ends, within) for pair in pairs)
        assert followers(starts, ends, window, within) == expected


def test_of_equal_chains_the_earliest_is_found():
    """An answer is one and the same however often it is asked."""
    starts = np.arange(6.0)
    found = best_chain(np.ones((2, 6)), starts, starts + 1, 10)
    assert found is not None
    assert found.windows == (0, 1)


def test_an_event_does_not_follow_itself():
    """Overlapping windows are one after the other in the list, but not in time."""
    scores = np.array([[9.0, 0, 0], [9.0, 9, 1]])
    starts = np.array([0.0, 0.5, 1.0])
    found = best_chain(scores, starts, starts + 1, 10)
    assert found is not None
    assert found.windows == (0, 2)


def test_no_window_has_no_chain():
    """A video without eligible windows is no special case."""
    nothing = np.empty(0)
    assert best_chain(np.empty((2, 0)), nothing, nothing, 10) is None


def test_rounded_times_still_touch():
    """Where one window ends and the next begins may differ in the last digits."""
    starts, ends = np.array([0.0, 1.0 - 1e-6]), np.array([1.0, 2.0])
    found = best_chain(np.ones((2, 2)), starts, ends, 0)
    assert found is not None
    assert found.windows == (0, 1)


def test_a_day_of_windows_is_chained_in_little_memory():
    """35,000 windows of one video: a table of all their pairs would not fit."""
    count = 34_560
    starts = np.arange(count) * 2.5
    scores = np.zeros((3, count))
    scores[0, 100], scores[1, 110], scores[2, 34_000] = 1, 1, 5
    near = best_chain(scores, starts, starts + 5, 60)
    far = best_chain(scores, starts, starts + 5, 86_400)
    assert near is not None
    assert near.windows[-1] == 34_000
    assert far is not None
    assert far.windows == (100, 110, 34_000)


@given(videos())
def test_a_wider_gap_never_lowers_the_best_score(
    video: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """More time between the events allows every chain that less time does."""
    chains = [best_chain(*video, within) for within in (0.0, 0.5, 1.0, 3.0, 100.0)]
    scores = [-np.inf if chain is None else chain.score for chain in chains]
    assert scores == sorted(scores)


@given(videos(), st.integers(-20, 20))
def test_a_constant_added_to_every_score_changes_no_chain(
    video: tuple[np.ndarray, np.ndarray, np.ndarray], shift: int
) -> None:
    """Only differences between windows decide; the mean moves by the constant."""
    scores, starts, ends = video
    before = best_chain(scores, starts, ends, 3)
    after = best_chain(scores + shift, starts, ends, 3)
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert after.windows == before.windows
        assert after.score == pytest.approx(before.score + shift)


@given(videos(), st.integers(0, 1_000))
def test_the_time_of_day_does_not_matter(
    video: tuple[np.ndarray, np.ndarray, np.ndarray], shift: int
) -> None:
    """The same windows later in a video make the same chain."""
    scores, starts, ends = video
    assert best_chain(scores, starts + shift, ends + shift, 1) == best_chain(
        scores, starts, ends, 1
    )
