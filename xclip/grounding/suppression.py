"""Non-maximum suppression: of spans that show the same event, whatever their scale, the best stays.

Two spans of one video are taken for the same event if what they share is more than a given part of
the shorter one: a short window inside a long one shares all of itself.

K spans.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROUNDING_S = 1e-6  # windows that only touch may overlap by a rounding of their bounds


class KeptSpans:
    """Spans that stay, and whether another one would show an event of its own beside them.

    most_shared : from 0 to 1, of the shorter span's length. With 0, no two may overlap; with 1 all
        may.

    Raises ValueError for a `most_shared` outside of [0, 1].
    """

    def __init__(self, most_shared: float) -> None:
        if not 0 <= most_shared <= 1:
            raise ValueError(f"most_shared is a share between 0 and 1, not {most_shared}")
        self._most_shared = most_shared
        self._spans: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)

    def has_room_for(self, video: int, start: float, end: float) -> bool:
        """Whether the span, in seconds, shares no more than allowed with each that is kept."""
        return all(
            min(end, kept_end) - max(start, kept_start)
            <= self._most_shared * min(end - start, kept_end - kept_start) + _ROUNDING_S
            for kept_start, kept_end in self._spans[video]
        )

    def keep(self, video: int, start: float, end: float) -> None:
        """Add a span, in seconds."""
        self._spans[video].append((start, end))


def best_first(videos: Ints, starts: Floats, ends: Floats, scores: Floats) -> Ints:
    """The indices of K spans by falling score; of equal ones by video, start and end."""
    return np.lexsort((ends, starts, videos, -scores))


def suppress(
    videos: Ints, starts: Floats, ends: Floats, scores: Floats, most_shared: float
) -> Ints:
    """The indices of the spans that stay, best first.

    videos : int64, shape = (K,); starts, ends : float64, shape = (K,), seconds, start below end
    scores : float64, shape = (K,); most_shared : see `KeptSpans`
    """
    kept, found = KeptSpans(most_shared), []
    for index in best_first(videos, starts, ends, scores).tolist():
        span = int(videos[index]), float(starts[index]), float(ends[index])
        if kept.has_room_for(*span):
            kept.keep(*span)
            found.append(index)
    return np.array(found, np.int64)
