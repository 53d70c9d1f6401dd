"""Moments and curves, against what one would do by hand."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.records import Segment, SegmentOfVideo, Video
from app.services.search.moments import highest, merged, score_curve, single
from app.services.search.query import Moment, RankedSegment
from app.services.search.rerank import rank_key
from index import TensorReference

NOISE = 1.0


def ranked(video: str, row: int, start: float, end: float, score: float) -> RankedSegment:
    owner = Video(
        id=video,
        collection="default",
        filename="a.mp4",
        content_type="video/mp4",
        size_bytes=1,
        sha256="0",
        status="ready",
        container=None,
        codec=None,
        width=None,
        height=None,
        duration_s=None,
        metadata={},
        error_code=None,
        error_message=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        job_id="job_1",
    )
    segment = Segment(f"seg_{row}", row, video, row, start, end, TensorReference("t", 0, 1, 0))
    return RankedSegment(SegmentOfVideo(segment, owner), score, None)


@st.composite
def rankings(draw: st.DrawFn) -> list[RankedSegment]:
    """Segments of up to three videos, some missing, best first."""
    found = []
    stride, window = draw(st.sampled_from([(1.0, 1.0), (1.0, 2.0), (0.5, 2.0), (2.5, 5.0)]))
    for video in range(draw(st.integers(1, 3))):
        for place in sorted(draw(st.sets(st.integers(0, 9), max_size=8))):
            start = place * stride
            score = float(draw(st.integers(-8, 8)))
            found.append(ranked(f"v{video}", video * 10 + place, start, start + window, score))
    return sorted(found, key=rank_key)


def spans(moment: Moment) -> list[tuple[float, float]]:
    return [(segment.start_s, segment.end_s) for segment in moment.segments]


@given(rankings(), st.data())
def test_merging_puts_every_ranked_segment_into_one_moment(
    scored: list[RankedSegment], data: st.DataObject
) -> None:
    """Nothing is lost or told twice; what is together overlaps its best, of the same video."""
    chosen = [one for one in scored if data.draw(st.booleans())]
    moments = merged(chosen, scored, NOISE)
    rows = [segment.row for moment in moments for segment in moment.segments]
    assert sorted(rows) == sorted(one.found.segment.row for one in chosen)
    assert [moment.best for moment in moments] == sorted(
        (moment.best for moment in moments), key=rank_key
    )
    score = {one.found.segment.row: one.score for one in scored}
    for moment in moments:
        best = moment.best.found.segment
        assert best.row in {segment.row for segment in moment.segments}
        assert spans(moment) == sorted(spans(moment))
        for segment in moment.segments:
            assert segment.video_id == best.video_id
            assert segment.start_s < best.end_s
            assert best.start_s < segment.end_s
            assert score[segment.row] <= moment.best.score


@given(rankings(), st.data())
def test_bounds_are_within_the_merged_windows_and_keep_part_of_the_best(
    scored: list[RankedSegment], data: st.DataObject
) -> None:
    """Drawn in, never out, and never away from what represents the moment."""
    chosen = [one for one in scored if data.draw(st.booleans())]
    for moment in merged(chosen, scored, NOISE):
        best = moment.best.found.segment
        assert moment.start < moment.end
        assert min(start for start, _ in spans(moment)) <= moment.start
        assert moment.end <= max(end for _, end in spans(moment))
        assert max(moment.start, best.start_s) < min(moment.end, best.end_s)


def test_an_event_is_bounded_more_narrowly_than_the_windows_that_show_it():
    """Windows of 4 s every second, of which those from 3 to 10 show the event of second 6 to 7."""
    shows = {3, 4, 5, 6}
    scored = [
        ranked("v", start, start, start + 4, 10.0 if start in shows else 0.0) for start in range(12)
    ]
    best, *_ = merged(sorted(scored, key=rank_key), scored, NOISE)
    assert {segment.row for segment in best.segments} >= shows
    assert 3 < best.start <= 6
    assert 7 <= best.end < 10


def test_differences_that_are_noise_draw_no_bounds():
    """Where every window scores the same, the whole of them is the moment."""
    scored = [ranked("v", start, start, start + 2, 1.0 + start / 100) for start in range(3)]
    (moment,) = merged(sorted(scored, key=rank_key)[:1], scored, NOISE)
    assert (moment.start, moment.end) == (2, 4)


def test_single_moments_are_the_segments_as_they_are():
    """Without merging, start and end are the window's."""
    scored = [ranked("v", 0, 0, 2, 2.0), ranked("v", 1, 1, 3, 1.0)]
    moments = single(scored)
    assert [(one.start, one.end) for one in moments] == [(0, 2), (1, 3)]
    assert [one.best for one in moments] == scored


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 6), st.integers(-100, 100)),
        min_size=1,
        max_size=12,
    )
)
def test_a_curve_is_the_mean_of_the_windows_over_each_interval(
    windows: list[tuple[int, int, int]],
) -> None:
    """Intervals join without gap or overlap; one without a window has no number."""
    starts, lengths, scores = (np.array(column, float) for column in zip(*windows, strict=True))
    ends = starts + lengths
    curve = score_curve(starts, ends, scores)
    assert curve.edges.tolist() == sorted({*starts, *ends})
    for (start, end), score in zip(pairwise(curve.edges), curve.scores, strict=True):
        covering = scores[(starts <= start) & (end <= ends)]
        if len(covering):
            assert score == pytest.approx(covering.mean(), abs=1e-9)
        else:
            assert np.isnan(score)


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 8), st.floats(0, 1)), min_size=1, max_size=12
    )
)
def test_the_highest_is_that_of_the_windows_over_each_interval(
    windows: list[tuple[int, int, float]],
):
    """A scan of all windows for each interval says the same; where there is none it is 0."""
    starts = np.array([float(start) for start, _, _ in windows])
    ends = starts + np.array([float(length) for _, length, _ in windows])
    values = np.array([value for _, _, value in windows])
    curve = score_curve(starts, ends, values)
    for interval, (begin, end) in enumerate(pairwise(curve.edges)):
        over = (starts <= begin) & (end <= ends)
        expected = values[over].max() if over.any() else 0.0
        assert highest(curve, starts, ends, values)[interval] == expected
        assert curve.windows[interval] == over.sum()


def test_a_whole_day_fits_in_memory():
    """Windows times intervals of 24 hours would be gigabytes."""
    starts = np.arange(34_560) * 2.5
    confidence = np.linspace(0, 1, len(starts))
    tracemalloc.start()
    curve = score_curve(starts, starts + 5, confidence)
    found = highest(curve, starts, starts + 5, confidence)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found[:-1] == confidence).all()  # later windows have more, and each begins an interval
    assert peak < 50_000_000


@given(rankings(), st.data())
def test_the_best_window_left_takes_in_what_overlaps_it(
    scored: list[RankedSegment], data: st.DataObject
) -> None:
    """A loop over all pairs, one window at a time, merges the same segments."""
    chosen = [one for one in scored if data.draw(st.booleans())]
    left = list(chosen)
    expected = []
    while left:
        best = left[0].found.segment
        near = [
            one
            for one in left
            if one.found.segment.video_id == best.video_id
            and one.found.segment.start_s < best.end_s
            and best.start_s < one.found.segment.end_s
        ]
        expected.append({one.found.segment.row for one in near})
        left = [one for one in left if one not in near]
    found = [{segment.row for segment in moment.segments} for moment in merged(chosen, scored, 1)]
    assert found == expected


@given(rankings())
def test_nothing_is_merged_across_videos_or_gaps(scored: list[RankedSegment]) -> None:
    """Windows that only touch are moments of their own, as two events would be."""
    for moment in merged(scored, scored, NOISE):
        best = moment.best.found.segment
        for segment in moment.segments:
            assert min(segment.end_s, best.end_s) - max(segment.start_s, best.start_s) > 0


@given(rankings(), st.integers(-50, 50))
def test_a_constant_added_to_every_score_moves_no_bounds(
    scored: list[RankedSegment], shift: int
) -> None:
    """Bounds follow from differences: the level of a model's logits does not matter."""
    shifted = [replace(one, score=one.score + shift) for one in scored]
    before, after = merged(scored, scored, NOISE), merged(shifted, shifted, NOISE)
    assert [(one.start, one.end) for one in before] == [(one.start, one.end) for one in after]


def test_no_results_have_no_moments() -> None:
    """An empty search is no special case, merged or not."""
    assert merged([], [], NOISE) == single([]) == []
