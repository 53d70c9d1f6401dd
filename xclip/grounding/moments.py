"""Moment retrieval: ranked windows of several scales become moments, each with an event's bounds.

The best window that is left is a moment. Its bounds are those of the contrast on the curve, which
is the finest scale (`xclip.grounding.spans`), and what shows the same event is left out
(`xclip.grounding.suppression`). A long event is one moment, though many windows show it.

K windows of all scales, M moments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xclip.grounding.spans import Bounds, span_by_contrast
from xclip.grounding.suppression import KeptSpans, best_first

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_SHARED = 0.25  # of the shorter one of two moments of one video


@dataclass(frozen=True, slots=True, eq=False)
class ScoredWindows:
    """Windows and what they score for one text.

    videos : int64, shape = (K,); starts, ends : float64, shape = (K,), seconds
    scores : float64, shape = (K,)
    """

    videos: Ints
    starts: Floats
    ends: Floats
    scores: Floats


@dataclass(frozen=True, slots=True)
class MomentSpan:
    """A moment: the index of the window that represents it, and its bounds in seconds."""

    window: int
    start: float
    end: float


def moment_spans(
    windows: ScoredWindows,
    curve: ScoredWindows,
    bounds: Bounds | None = None,
    most_shared: float = MOST_SHARED,
) -> Iterator[MomentSpan]:
    """The moments, best first, one by one, so that ten cost the bounds of ten.

    windows : candidates of every scale
    curve : windows of the finest scale, by ascending video and start; as many of each candidate's
        video as there are around it. Its scores need not be those that candidates are ordered by.
    """
    kept = KeptSpans(most_shared)
    columns = (windows.videos, windows.starts, windows.ends)
    for index in best_first(*columns, windows.scores).tolist():
        video, start, end = int(columns[0][index]), *(float(of[index]) for of in columns[1:])
        if not kept.has_room_for(video, start, end):
            continue
        start, end = _bounded(video, start, end, curve, bounds or Bounds())
        if kept.has_room_for(video, start, end):
            kept.keep(video, start, end)
            yield MomentSpan(index, start, end)


def _bounded(
    video: int, start: float, end: float, curve: ScoredWindows, bounds: Bounds
) -> tuple[float, float]:
    """The span around the window's peak on the curve; the window itself where there is no curve."""
    rows = slice(*np.searchsorted(curve.videos, (video, video + 1)).tolist())
    starts, ends, scores = curve.starts[rows], curve.ends[rows], curve.scores[rows]
    middles = (starts + ends) / 2
    inside = np.flatnonzero((middles > start) & (middles < end))
    if not len(inside):
        return start, end
    return span_by_contrast(starts, ends, scores, int(inside[np.argmax(scores[inside])]), bounds)
