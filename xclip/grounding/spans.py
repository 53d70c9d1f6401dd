"""Temporal grounding by contrast: the bounds of an event, from the scores of windows around it.

A window that shows half of an event scores about half-way between those that show all of it and
those that show none. So each possible span promises a score for every window nearby: the peak's
for what lies in the span, a lower level for what lies before it, another for what lies after it,
and a mean of these for a window that holds parts of them. The span whose promise fits the scores
best, by least squares, is the event. There are two levels because what comes before an event is not
what comes after it, and one of them may be a near miss.

K windows, C spans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is compared; seconds.

    step_s : from one possible start or end to the next
    shortest_s : of a span
    reach_s : how far around the best window others are compared
    farthest_s : how far the reach grows, in doublings, while no window lies beyond the span
    """

    step_s: float = 0.625
    shortest_s: float = 1.25
    reach_s: float = 5.0
    farthest_s: float = 20.0


def span_by_contrast(
    starts: Floats, ends: Floats, scores: Floats, best: int, bounds: Bounds
) -> tuple[float, float]:
    """Start and end of the event that window `best` shows, seconds.

    starts, ends, scores : float64, shape = (K,), the windows of one scale of one video, with start
        below end
    best : the index of the window with the event's highest score; the span holds its middle

    Of spans that fit equally well, the longest counts, then the earliest. Where none fits better
    than no span, as with equal scores or a single window, the window is the span.
    """
    reach_s = bounds.reach_s
    while True:
        near = (ends > starts[best] - reach_s) & (starts < ends[best] + reach_s)
        first, last = float(starts[near].min()), float(ends[near].max())
        spans = _candidates(first, last, float(starts[best] + ends[best]) / 2, bounds)
        below_peak = scores[best] - scores[near]
        fit = _explained(spans, starts[near], ends[near], below_peak)
        least = _ROUNDING * (1.0 + float(below_peak @ below_peak))
        if fit.max(initial=0.0) <= least:
            return float(starts[best]), float(ends[best])
        fitting = spans[fit >= fit.max() - least]
        longest = np.argmax((fitting[:, 1] - fitting[:, 0]).round(6))
        start, end = fitting[longest].tolist()
        reach_s *= 2
        # a level is known from windows that lie wholly on its side
        is_known_before = first <= starts.min() or (ends[near] <= start + _ROUNDING).any()
        is_known_after = last >= ends.max() or (starts[near] >= end - _ROUNDING).any()
        if (is_known_before and is_known_after) or reach_s > bounds.farthest_s:
            return start, end


def _candidates(first: float, last: float, inside: float, bounds: Bounds) -> Floats:
    """Every span that holds the instant `inside`, by start; (C, 2)."""
    edges = np.append(np.arange(first, last - _ROUNDING, bounds.step_s), last)
    begins, finishes = edges[edges <= inside], edges[edges >= inside]
    starts, ends = np.repeat(begins, len(finishes)), np.tile(finishes, len(begins))
    is_allowed = ends - starts >= bounds.shortest_s - _ROUNDING
    return np.column_stack([starts[is_allowed], ends[is_allowed]])


def _explained(spans: Floats, starts: Floats, ends: Floats, below_peak: Floats) -> Floats:
    """How much of the squares of `below_peak` each span explains; (C,).

    The two levels are those of least squares that are not above the peak.
    """
    lengths = ends - starts
    before = (np.minimum(spans[:, :1], ends) - starts).clip(0) / lengths  # (C, K)
    after = (ends - np.maximum(spans[:, 1:], starts)).clip(0) / lengths
    bb, aa, ab = (before**2).sum(axis=1), (after**2).sum(axis=1), (before * after).sum(axis=1)
    b, a = before @ below_peak, after @ below_peak
    # one level alone, where the other one is the peak's
    alone = np.maximum(_quotient(b.clip(0) ** 2, bb), _quotient(a.clip(0) ** 2, aa))
    determinant = bb * aa - ab**2
    level_before = _quotient(aa * b - ab * a, determinant)
    level_after = _quotient(bb * a - ab * b, determinant)
    is_below = (level_before >= 0) & (level_after >= 0) & (determinant > _ROUNDING)
    return np.where(is_below, level_before * b + level_after * a, alone)


def _quotient(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > _ROUNDING)
