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


def suppress(
    videos: Ints, starts: Floats, ends: Floats, scores: Floats, most_shared: float
) -> Ints:
    """The indices of the spans that stay, best first; of equal scores the first in time.

    videos : int64, shape = (K,); starts, ends : float64, shape = (K,), seconds, start below end
    scores : float64, shape = (K,)
    most_shared : from 0 to 1; a span that shares more of the shorter one's length with a better one
        that stays is left out. With 0, no two that overlap stay; with 1, all stay.

    Raises ValueError for a `most_shared` outside of [0, 1].
    """
    if not 0 <= most_shared <= 1:
        raise ValueError(f"most_shared is a share between 0 and 1, not {most_shared}")
    kept: defaultdict[int, list[int]] = defaultdict(list)  # by video
    found = []
    for index in np.lexsort((ends, starts, videos, -scores)).tolist():
        better = kept[int(videos[index])]
        if better:
            common = np.minimum(ends[index], ends[better]) - np.maximum(
                starts[index], starts[better]
            )
            shorter = np.minimum(ends[index] - starts[index], ends[better] - starts[better])
            if (common > most_shared * shorter + _ROUNDING_S).any():
                continue
        better.append(index)
        found.append(index)
    return np.array(found, np.int64)
