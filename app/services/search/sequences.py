"""Sequence search: finds the chains of windows that follow each other in one video, best first.

S events, n windows of one video.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# Ends and starts of windows are rounded; a window that begins this much before the end of another
# still follows it.
_TOUCH_S = 1e-3


@dataclass(frozen=True, slots=True)
class Chain:
    """The window that shows each event, and the mean of their scores."""

    windows: tuple[int, ...]
    score: float


def chains(
    scores: Floats, starts: Floats, ends: Floats, within_s: float, most: int
) -> Iterator[Chain]:
    """At most `most` chains, each the best of those that do not overlap the ones before.

    The parameters are those of `best_chain`.
    """
    waiting: list[tuple[float, int, int, tuple[int, ...]]] = []  # -score, part, windows

    def look(first: int, last: int) -> None:
        """Add the best chain of the windows from `first` to before `last`."""
        part = slice(first, last)
        found = best_chain(scores[:, part], starts[part], ends[part], within_s)
        if found is not None:
            windows = tuple(first + window for window in found.windows)
            heapq.heappush(waiting, (-found.score, first, last, windows))

    look(0, len(starts))
    for _ in range(most):
        if not waiting:
            return
        negative, first, last, windows = heapq.heappop(waiting)
        yield Chain(windows, -negative)
        before = int(np.searchsorted(ends, starts[windows[0]] + _TOUCH_S, side="right"))
        after = int(np.searchsorted(starts, ends[windows[-1]] - _TOUCH_S))
        look(first, min(before, last))
        look(max(after, first), last)


def best_chain(scores: Floats, starts: Floats, ends: Floats, within_s: float) -> Chain | None:
    """The chain with the highest mean score; of equal ones the earliest. None when there is none.

    scores : float64, shape = (S, n), what each window scores for each event
    starts, ends : float64, shape = (n,), seconds, both ascending
    within_s : the next window begins after the last one's end, and at most so much after it
    """
    if not len(starts):
        return None
    # The windows that a window may follow are neighbours in time: first, and before last.
    first = np.searchsorted(ends, starts - within_s - _TOUCH_S)
    last = np.searchsorted(ends, starts + _TOUCH_S, side="right")
    best = scores[0]
    came_from = []
    for event in scores[1:]:
        before = _highest(best, first, last)
        came_from.append(before)
        best = np.where(first < last, event + best[before], -np.inf)
    if not np.isfinite(best.max()):
        return None
    window = int(np.argmax(best))
    total = float(best[window])
    chain = [window]
    for before in reversed(came_from):
        chain.append(int(before[chain[-1]]))
    return Chain(tuple(reversed(chain)), total / len(scores))


def followers(starts: Floats, ends: Floats, window: int, within_s: float) -> int:
    """How many windows may follow this one in a chain."""
    gap = starts - ends[window]
    return int(np.count_nonzero((gap >= -_TOUCH_S) & (gap <= within_s + _TOUCH_S)))


def _highest(values: Floats, first: Indices, last: Indices) -> Indices:
    """The index of the highest of values[first:last], the earliest of equal ones; 0 for no values.

    A sparse table, in O(n log n): a day of video has too many windows for a table of all pairs.
    """
    # table[k][i] is the index of the highest of the 2**k values from i on.
    table = [np.arange(len(values))]
    while 2 ** len(table) <= len(values):
        half = 2 ** (len(table) - 1)
        left, right = table[-1][:-half], table[-1][half:]
        table.append(np.where(values[right] > values[left], right, left))
    found = np.zeros(len(first), np.int64)
    level = np.log2((last - first).clip(1)).astype(np.int64)
    for k, highest in enumerate(table):
        here = (level == k) & (first < last)
        left, right = highest[first[here]], highest[last[here] - 2**k]
        found[here] = np.where(values[right] > values[left], right, left)
    return found
