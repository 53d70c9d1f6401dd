"""Moments: merges the segments of one event into one result.

Where windows overlap, an instant is covered by several of them. Its score is the mean of theirs: a
window that holds only a part of an event scores lower, so the instants that all high windows share
stand out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.catalog.records import Video
from app.model_api.messages import ConfidenceKind
from app.services.search.query import Moment, RankedSegment
from app.services.text_use import TextUse

Floats = npt.NDArray[np.float64]
_ROUNDING = 1e-9  # of scores in float64


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores over time: interval i lasts from edges[i] to edges[i + 1]; NaN where no window is.

    edges : float64, shape = (n + 1,), ascending; scores : float64, shape = (n,)
    windows : int64, shape = (n,), how many cover each interval
    """

    edges: Floats
    scores: Floats
    windows: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Heatmap:
    """The scores of one text over one video.

    text_use : how much of the text the model has read
    confidence : for each interval of the curve, the highest of the windows that cover it; None when
        no confidence is known
    """

    video: Video
    curve: Curve
    confidence: Floats | None
    confidence_kind: ConfidenceKind | None
    text_use: TextUse


def score_curve(starts: Floats, ends: Floats, scores: Floats) -> Curve:
    """The mean score of the windows that cover each interval between two edges of windows.

    starts, ends, scores : float64, shape = (K,)
    """
    edges = np.unique(np.concatenate([starts, ends]))
    first = np.searchsorted(edges, starts)
    last = np.searchsorted(edges, ends)
    # A window adds its score at its first interval and takes it back after its last.
    count = np.zeros(len(edges), np.int64)
    total = np.zeros(len(edges))
    np.add.at(count, first, 1)
    np.add.at(count, last, -1)
    np.add.at(total, first, scores)
    np.add.at(total, last, -scores)
    count, total = np.cumsum(count)[:-1], np.cumsum(total)[:-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return Curve(edges, np.where(count > 0, total / count, np.nan), count)


def highest(curve: Curve, starts: Floats, ends: Floats, values: Floats) -> Floats:
    """The highest value of the windows that cover each interval of their curve; 0 where none does.

    starts, ends, values : float64, shape = (K,), values not below 0

    Window by window: a day of video has too many for a table of windows times intervals.
    """
    found = np.zeros(len(curve.scores))
    first = np.searchsorted(curve.edges, starts).tolist()
    last = np.searchsorted(curve.edges, ends).tolist()
    for begin, end, value in zip(first, last, values.tolist(), strict=True):
        np.maximum(found[begin:end], value, out=found[begin:end])
    return found


def single(ranked: Sequence[RankedSegment]) -> list[Moment]:
    """Every segment as a moment of its own."""
    return [
        Moment(each, each.found.segment.start_s, each.found.segment.end_s, (each.found.segment,))
        for each in ranked
    ]


def merged(
    ranked: Sequence[RankedSegment], scored: Sequence[RankedSegment], noise: float
) -> list[Moment]:
    """Overlapping windows merged into moments, in the order of `ranked`, which is best first.

    The best window that is left takes in those of `ranked` that overlap it. The moment's bounds
    are then narrowed to the interval around the peak where the curve of all the video's `scored`
    windows stays above the mean of that peak and the lowest score nearby.

    noise : differences of scores up to this say nothing about where an event begins
    """
    curves = _curves(scored)
    taken: set[int] = set()
    by_video: defaultdict[str, list[RankedSegment]] = defaultdict(list)
    for each in ranked:
        by_video[each.found.video.id].append(each)
    moments = []
    for best in ranked:
        if best.found.segment.row in taken:
            continue
        near = [
            each
            for each in by_video[best.found.video.id]
            if each.found.segment.row not in taken and _overlap(best, each)
        ]
        taken |= {each.found.segment.row for each in near}
        segments = sorted((each.found.segment for each in near), key=lambda one: one.start_s)
        start, end = _tightened(best, near, curves[best.found.video.id], noise)
        moments.append(Moment(best, start, end, tuple(segments)))
    return moments


def _curves(scored: Sequence[RankedSegment]) -> dict[str, Curve]:
    by_video: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for each in scored:
        segment = each.found.segment
        by_video[each.found.video.id].append((segment.start_s, segment.end_s, each.score))
    return {
        video_id: score_curve(*np.array(windows, dtype=np.float64).T)
        for video_id, windows in by_video.items()
    }


def _overlap(one: RankedSegment, other: RankedSegment) -> bool:
    first, second = one.found.segment, other.found.segment
    return first.start_s < second.end_s and second.start_s < first.end_s


def _tightened(
    best: RankedSegment, near: Sequence[RankedSegment], curve: Curve, noise: float
) -> tuple[float, float]:
    """The interval around the best window's peak, never beyond the windows of `near`."""
    first = int(np.searchsorted(curve.edges, min(each.found.segment.start_s for each in near)))
    last = int(np.searchsorted(curve.edges, max(each.found.segment.end_s for each in near)))
    window = best.found.segment
    scores = _evened(curve, window.start_s, window.end_s)
    begin, end = np.searchsorted(curve.edges, (window.start_s, window.end_s)).tolist()
    peak = begin + int(np.argmax(scores[begin:end]))
    highest = scores[peak]
    # means of the same windows differ by roundings with the level of the scores
    level = min((highest + np.nanmin(scores)) / 2, highest - noise) - _ROUNDING
    left, right = peak, peak + 1
    while left > first and scores[left - 1] >= level:
        left -= 1
    while right < last and scores[right] >= level:
        right += 1
    return float(curve.edges[left]), float(curve.edges[right])


def _evened(curve: Curve, start: float, end: float) -> Floats:
    """The curve as far as the neighbours of a window reach, NaN beyond.

    Fewer windows cover the ends of a video. The lowest score nearby is used instead of the missing
    ones, or the ends would look like the peak of every event beside them.
    """
    reach = end - start
    near = (
        (curve.edges[1:] > start - reach) & (curve.edges[:-1] < end + reach) & (curve.windows > 0)
    )
    lowest, most = curve.scores[near].min(), curve.windows[near].max()
    missing = most - curve.windows
    return np.where(near, (curve.scores * curve.windows + lowest * missing) / most, np.nan)
