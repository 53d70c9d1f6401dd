"""Methods under measurement: each makes ranked moments of the scores of windows.

`METHODS` names them. Today's is the service's own code, called and not copied; the others use the
functions of `xclip.grounding` that a service would.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TypeAlias

import numpy as np

from app.catalog.records import Segment, SegmentOfVideo, Video
from app.services.search.moments import merged
from app.services.search.query import RankedSegment
from app.services.search.rerank import rank_key
from app.services.search.search import LOGIT_NOISE
from app.services.search.sequences import chains
from benchmarks.moments.scores import ScaleScores, TextScores
from index import TensorReference
from xclip.confidence.calibration import share_among
from xclip.grounding.moments import MOST_SHARED, ScoredWindows, moment_spans
from xclip.grounding.normalisation import without_hubs
from xclip.grounding.suppression import suppress

MOST_MOMENTS = 100  # of one answer that are looked at
WITHIN_S = 10.0  # from one step of a sequence to the next


Confidence: TypeAlias = Callable[[int], float]  # of a candidate's index


@dataclass(frozen=True, slots=True)
class Found:
    """One moment of an answer; seconds."""

    video: int
    start: float
    end: float
    score: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Method:
    """How an answer is made of scores.

    moments : of one text, best first
    sequence : the steps of the best chain of several texts, from their scores and their moments;
        no steps if there is no chain
    """

    name: str
    moments: Callable[[TextScores], list[Found]]
    sequence: Callable[[Sequence[TextScores], Sequence[list[Found]]], list[Found]]


def as_served(scores: TextScores) -> list[Found]:
    """Windows of 5 s, merged as the service merges them."""
    return _merged(scores.coarse)


def as_served_without_hubs(scores: TextScores) -> list[Found]:
    """The same, by normalised scores."""
    return _merged(_normalised(scores.coarse))


def best_of_two_scales(scores: TextScores) -> list[Found]:
    """Windows of both scales; of those that show the same event the best."""
    return _suppressed(scores)


def spans_of_coarse_windows(scores: TextScores) -> list[Found]:
    """Windows of 5 s in today's order, their bounds by contrast on the fine scale's curve."""
    confidence = scores.coarse.confidence[scores.coarse.recalled].tolist()
    return _grounded(_recalled(scores.coarse), scores.fine, lambda index: confidence[index])


def all_together(scores: TextScores) -> list[Found]:
    """Windows of both scales by normalised scores, their bounds by contrast on the fine scale."""
    ordered = TextScores(_normalised(scores.coarse), _normalised(scores.fine))
    return _grounded(_candidates(ordered), scores.fine, _confidence(scores))


def _normalised(scores: ScaleScores) -> ScaleScores:
    return replace(scores, logit=without_hubs(scores.logit, scores.rest))


def _merged(scores: ScaleScores) -> list[Found]:
    ranked = sorted(
        (
            RankedSegment(
                _segment(row, int(scores.video[row]), scores.start[row], scores.end[row]),
                float(scores.logit[row]),
                float(scores.confidence[row]),
            )
            for row in np.flatnonzero(scores.recalled).tolist()
        ),
        key=rank_key,
    )
    return [
        Found(
            int(moment.best.found.video.id),
            moment.start,
            moment.end,
            moment.best.score,
            moment.best.confidence or 0.0,
        )
        for moment in merged(ranked, ranked, LOGIT_NOISE)[:MOST_MOMENTS]
    ]


def _suppressed(scores: TextScores) -> list[Found]:
    windows = _candidates(scores)
    columns = (windows.videos, windows.starts, windows.ends, windows.scores)
    kept = suppress(*columns, MOST_SHARED)[:MOST_MOMENTS].tolist()
    confidence = _confidence(scores)
    return [
        Found(
            int(windows.videos[index]),
            float(windows.starts[index]),
            float(windows.ends[index]),
            float(windows.scores[index]),
            confidence(index),
        )
        for index in kept
    ]


def _grounded(windows: ScoredWindows, curve: ScaleScores, confidence: Confidence) -> list[Found]:
    """Moments of the windows, best first, with bounds by contrast on the curve."""
    of_curve = ScoredWindows(curve.video, curve.start, curve.end, curve.logit)
    return [
        Found(
            int(windows.videos[one.window]),
            one.start,
            one.end,
            float(windows.scores[one.window]),
            confidence(one.window),
        )
        for one in itertools.islice(moment_spans(windows, of_curve), MOST_MOMENTS)
    ]


def _recalled(scale: ScaleScores) -> ScoredWindows:
    rows = scale.recalled
    return ScoredWindows(scale.video[rows], scale.start[rows], scale.end[rows], scale.logit[rows])


def _candidates(scores: TextScores) -> ScoredWindows:
    """The recalled windows of both scales, the coarse ones first."""
    coarse, fine = _recalled(scores.coarse), _recalled(scores.fine)
    return ScoredWindows(
        np.concatenate([coarse.videos, fine.videos]),
        np.concatenate([coarse.starts, fine.starts]),
        np.concatenate([coarse.ends, fine.ends]),
        np.concatenate([coarse.scores, fine.scores]),
    )


def _confidence(scores: TextScores) -> Confidence:
    """Of each candidate of both scales, among the windows of both."""
    scales = (scores.coarse, scores.fine)
    eligible = sum(len(scale.video) for scale in scales)
    alone = [
        (confidence, len(scale.video))
        for scale in scales
        for confidence in scale.confidence[scale.recalled].tolist()
    ]
    return lambda index: share_among(*alone[index], eligible)


@cache
def _segment(row: int, video: int, start: float, end: float) -> SegmentOfVideo:
    """The catalog's record of a window, as far as merging reads it."""
    name = f"{video:06d}"
    segment = Segment(f"{row}", row, name, row, start, end, TensorReference("", 0, 1, 0))
    return SegmentOfVideo(segment, _video(name))


@cache
def _video(name: str) -> Video:
    return Video(
        id=name,
        collection="default",
        filename=name,
        content_type="video/mp4",
        size_bytes=1,
        sha256="",
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
        job_id="",
    )


def chain_of_windows(texts: Sequence[ScaleScores]) -> list[Found]:
    """The best chain of windows in one video, as the service finds it."""
    recalled = np.logical_or.reduce([text.recalled for text in texts])
    first = texts[0]
    best: tuple[float, list[Found]] = (-np.inf, [])
    for video in np.unique(first.video[recalled]).tolist():
        rows = slice(*np.searchsorted(first.video, (video, video + 1)).tolist())
        starts, ends = first.start[rows], first.end[rows]
        logits = np.stack([text.logit[rows] for text in texts])
        for chain in chains(logits, starts, ends, WITHIN_S, 1):
            if chain.score > best[0]:
                steps = [
                    Found(
                        video,
                        float(starts[window]),
                        float(ends[window]),
                        float(text.logit[rows][window]),
                        float(text.confidence[rows][window]),
                    )
                    for text, window in zip(texts, chain.windows, strict=True)
                ]
                best = (chain.score, steps)
    return best[1]


def chain_of_moments(texts: Sequence[Sequence[Found]]) -> list[Found]:
    """The chain of moments in one video with the highest mean score; no two overlap by much."""
    by_video: list[defaultdict[int, list[Found]]] = []
    for moments in texts:
        of_text: defaultdict[int, list[Found]] = defaultdict(list)
        for moment in moments:
            of_text[moment.video].append(moment)
        by_video.append(of_text)
    best: tuple[float, list[Found]] = (-np.inf, [])
    for video in set.intersection(*(set(of_text) for of_text in by_video)):
        total, chain = _best_chain([of_text[video] for of_text in by_video])
        if total > best[0]:
            best = (total, chain)
    return best[1]


def _best_chain(steps: Sequence[Sequence[Found]]) -> tuple[float, list[Found]]:
    ways: list[tuple[float, list[Found]]] = [(one.score, [one]) for one in steps[0]]
    for step in steps[1:]:
        longer = []
        for one in step:
            before = [way for way in ways if _follows(one, way[1][-1])]
            if before:
                total, chain = max(before, key=lambda way: way[0])
                longer.append((total + one.score, [*chain, one]))
        ways = longer
    return max(ways, key=lambda way: way[0], default=(-np.inf, []))


def _follows(one: Found, before: Found) -> bool:
    """Whether `one` begins about where `before` ends, or up to `WITHIN_S` after it."""
    shorter = min(one.end - one.start, before.end - before.start)
    return -MOST_SHARED * shorter <= one.start - before.end <= WITHIN_S


METHODS = (
    Method(
        "a today's",
        as_served,
        lambda texts, _: chain_of_windows([text.coarse for text in texts]),
    ),
    Method("b two scales", best_of_two_scales, lambda _, moments: chain_of_moments(moments)),
    Method("c spans", spans_of_coarse_windows, lambda _, moments: chain_of_moments(moments)),
    Method(
        "d order without hubs",
        as_served_without_hubs,
        lambda texts, _: chain_of_windows([_normalised(text.coarse) for text in texts]),
    ),
    Method("e b, c and d", all_together, lambda _, moments: chain_of_moments(moments)),
)
