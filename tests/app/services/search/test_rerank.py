"""Rerank: order of results, and the videos that a sequence looks at, against a plain sort."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.search.query import SequenceQuery
from app.services.search.rerank import _by_promise, _eligible, _ranked, _sequences, rank_key
from app.services.vectors.port import Recall
from tests.app.services.search.test_moments import ranked


def recall(rows: list[int], scores: list[float], last_row: int = 1_000) -> Recall:
    """A recall of these rows, best first."""
    order = np.argsort(-np.array(scores, np.float32), kind="stable")
    return Recall(
        np.array(rows, np.int64)[order],
        np.array(scores, np.float32)[order],
        total=1_000,
        eligible=1_000,
        sequence=1,
        last_row=last_row,
    )


results = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(-3, 3)), max_size=15
)


@given(results)
def test_results_are_by_score_then_video_then_start(found: list[tuple[int, int, int]]) -> None:
    """The order of equal scores is fixed, so that pages of one search fit together."""
    segments = [ranked(f"v{v}", row, at, at + 1, 0).found for row, (v, at, _) in enumerate(found)]
    scores = np.array([score for *_, score in found], np.float64)
    ordered = _ranked(segments, scores, None)
    keys = [(-one.score, one.found.video.id, one.found.segment.start_s) for one in ordered]
    assert keys == sorted(keys)
    assert keys == [rank_key(one) for one in ordered]
    assert len(ordered) == len(found)


@given(results)
def test_each_result_keeps_its_own_score_and_confidence(
    found: list[tuple[int, int, int]],
) -> None:
    """Sorting moves a segment together with what belongs to it."""
    segments = [ranked(f"v{v}", row, at, at + 1, 0).found for row, (v, at, _) in enumerate(found)]
    scores = np.array([score for *_, score in found], np.float64)
    confidence = np.arange(len(found)) / 100
    for one in _ranked(segments, scores, confidence):
        row = one.found.segment.row
        assert (one.score, one.confidence) == (scores[row], confidence[row])


def test_without_a_calibration_no_result_has_a_confidence() -> None:
    """None says that it is unknown; 0 would say that it is low."""
    (one,) = _ranked([ranked("v", 0, 0, 1, 0).found], np.zeros(1), None)
    assert one.confidence is None


@given(
    st.lists(
        st.dictionaries(st.integers(0, 11), st.integers(-4, 4).map(float), max_size=8),
        min_size=1,
        max_size=4,
    )
)
def test_videos_are_ordered_by_the_sum_of_their_best_scores(
    recalled: list[dict[int, float]],
) -> None:
    """A video that a text did not recall counts with the lowest score of that text, at most 0."""
    video_of = {row: f"v{row // 3}" for each in recalled for row in each}
    recalls = [recall(list(each), list(each.values())) for each in recalled]
    promise = {
        video: sum(
            max(
                (score for row, score in each.items() if video_of[row] == video),
                default=min([0.0, *each.values()]),
            )
            for each in recalled
        )
        for video in set(video_of.values())
    }
    expected = sorted(promise, key=lambda video: (-promise[video], video))
    assert _by_promise(recalls, video_of) == expected


def test_a_recalled_row_that_is_gone_speaks_for_no_video() -> None:
    """A segment that was deleted after the recall does not bring its video back."""
    assert _by_promise([recall([1, 2], [9.0, 1.0])], {2: "v"}) == ["v"]


@given(st.sets(st.integers(0, 30)), st.none() | st.sets(st.integers(0, 30)), st.integers(0, 30))
def test_a_row_is_eligible_if_the_index_knows_it_and_the_filter_allows_it(
    rows: set[int], allowed: set[int] | None, last_row: int
) -> None:
    """A segment that came after the recall is left out, in whatever video it is."""
    filtered = None if allowed is None else np.array(sorted(allowed), np.int64)
    found = _eligible(np.array(sorted(rows), np.int64), recall([0], [1.0], last_row), filtered)
    expected = [
        row for row in sorted(rows) if row <= last_row and (allowed is None or row in allowed)
    ]
    assert found.tolist() == expected


class Given:
    """The scores of a video's windows, as the worker returns them."""

    def __init__(self, logits: np.ndarray, confidence: np.ndarray | None) -> None:
        self.logits = logits
        self.confidence = confidence


@given(st.integers(2, 5), st.integers(2, 3), st.data())
def test_a_sequence_is_the_best_chain_of_a_videos_windows(
    count: int, events: int, data: st.DataObject
) -> None:
    """Steps are in order of time, and their mean is the best of all chains there are."""
    number = st.integers(-5, 5).map(float)
    row = st.lists(number, min_size=events, max_size=events)
    logits = np.array(data.draw(st.lists(row, min_size=count, max_size=count)), np.float32)
    windows = [ranked("v", at, at, at + 1, 0).found for at in range(count)]
    query = SequenceQuery(tuple("abc"[:events]), within_s=100)
    made = _sequences(query, windows, Given(logits, None), list(range(count)), 10)  # type: ignore[arg-type]
    chains = list(itertools.combinations(range(count), events))
    if not chains:
        assert made == []
        return
    found = made[0]
    best = max(float(np.mean([logits[w, e] for e, w in enumerate(chain)])) for chain in chains)
    assert found.best.score == pytest.approx(best)
    assert found.best.confidence is None
    assert [step.score for step in found.steps] == [
        logits[step.found.segment.row, event] for event, step in enumerate(found.steps)
    ]
    assert (found.start, found.end) == (found.segments[0].start_s, found.segments[-1].end_s)
    assert list(found.segments) == [step.found.segment for step in found.steps]


def test_the_confidence_of_a_sequence_is_the_product_of_its_steps() -> None:
    """A later step has fewer rivals than the first, so its confidence rises."""
    windows = [ranked("v", at, at, at + 1, 0).found for at in range(2)]
    scores = Given(np.zeros((2, 2), np.float32), np.full((2, 2), 0.5))
    query = SequenceQuery(("a", "b"), within_s=10)
    [found] = _sequences(query, windows, scores, [0, 1], 100)  # type: ignore[arg-type]
    first, second = (step.confidence for step in found.steps)
    assert first == pytest.approx(0.5)
    assert second is not None
    assert second > 0.9
    assert found.best.confidence == pytest.approx(0.5 * second)
