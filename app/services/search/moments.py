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

from app.services.search.query import Moment, RankedSegment

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores over time: piece i lasts from edges[i] to edges[i + 1]; NaN where no window is.

    edges : float64, shape = (n + 1,), ascending; scores : float64, shape = (n,)
    windows : int64, shape = (n,), how many cover each piece
    """

    edges: Floats
    scores: Floats
    windows: npt.NDArray[np.int64]


def curve(starts: Floats, ends: Floats, scores: Floats) -> Curve:
    """The mean score of the windows that cover each piece between two edges of windows.

    starts, ends, scores : float64, shape = (K,)
    """
    edges = np.unique(np.concatenate([starts, ends]))
    first = np.searchsorted(edges, starts)
    last = np.searchsorted(edges, ends)
    # What a window adds from its first piece on, and takes back after its last.
    count = np.zeros(len(edges), np.int64)
    total = np.zeros(len(edges))
    np.add.at(count, first, 1)
    np.add.at(count, last, -1)
    np.add.at(total, first, scores)
    np.add.at(total, last, -scores)
    count, total = np.cumsum(count)[:-1], np.cumsum(total)[:-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return Curve(edges, np.where(count > 0, total / count, np.nan), count)


def highest(line: Curve, starts: Floats, ends: Floats, values: Floats) -> Floats:
    """The highest value of the windows that cover each piece of their curve; 0 where none does.

    starts, ends, values : float64, shape = (K,), values not below 0

    Window by window: the video of a day has too many for a table of windows and pieces.
    """
    found = np.zeros(len(line.scores))
    first = np.searchsorted(line.edges, starts).tolist()
    last = np.searchsorted(line.edges, ends).tolist()
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
    """Moments in place of windows, in the order of `ranked`, which is best first.

    The best window that is left takes in those of `ranked` that overlap it. Its bounds are then
    drawn in to the stretch around its peak where the curve of all that were `scored` in the video
    stays above half way between that peak and the lowest point nearby.

    noise : differences up to this say nothing about where an event begins
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
        video_id: curve(*np.array(windows, dtype=np.float64).T)
        for video_id, windows in by_video.items()
    }


def _overlap(one: RankedSegment, other: RankedSegment) -> bool:
    first, second = one.found.segment, other.found.segment
    return first.start_s < second.end_s and second.start_s < first.end_s


def _tightened(
    best: RankedSegment, near: Sequence[RankedSegment], line: Curve, noise: float
) -> tuple[float, float]:
    """The stretch around the peak within the best window, never beyond the windows of `near`."""
    first = int(np.searchsorted(line.edges, min(each.found.segment.start_s for each in near)))
    last = int(np.searchsorted(line.edges, max(each.found.segment.end_s for each in near)))
    window = best.found.segment
    scores = _evened(line, window.start_s, window.end_s)
    begin, end = np.searchsorted(line.edges, (window.start_s, window.end_s)).tolist()
    peak = begin + int(np.argmax(scores[begin:end]))
    highest = scores[peak]
    level = min((highest + np.nanmin(scores)) / 2, highest - noise)
    left, right = peak, peak + 1
    while left > first and scores[left - 1] >= level:
        left -= 1
    while right < last and scores[right] >= level:
        right += 1
    return float(line.edges[left]), float(line.edges[right])


def _evened(line: Curve, start: float, end: float) -> Floats:
    """The curve as far as the neighbours of a window reach, NaN beyond.

    Fewer windows cover the first and last pieces of a video. There the lowest score nearby stands
    in for those that are missing, or the edge would look like the peak of every event beside it.
    """
    reach = end - start
    near = (line.edges[1:] > start - reach) & (line.edges[:-1] < end + reach) & (line.windows > 0)
    lowest, most = line.scores[near].min(), line.windows[near].max()
    missing = most - line.windows
    return np.where(near, (line.scores * line.windows + lowest * missing) / most, np.nan)
