"""Frame cache: decoded frames in memory up to a bound, so that later epochs decode less.

What is in stays in: an epoch shows every clip once, and a cache that dropped the clip it has not
shown for longest would drop each just before its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock

import numpy as np
from numpy.typing import NDArray


class FrameCache:
    """Keeps frames by key until `max_bytes` are full; used from several threads."""

    def __init__(self, max_bytes: int) -> None:
        self._free = max_bytes
        self._kept: dict[Hashable, NDArray[np.uint8]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, read: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The frames of a key, not to be written to; `read` gets them where they are not kept."""
        found = self._kept.get(key)
        if found is not None:
            return found
        frames = read()
        with self._lock:
            if key not in self._kept and frames.nbytes <= self._free:
                self._free -= frames.nbytes
                kept = np.ascontiguousarray(frames).copy()
                kept.flags.writeable = False
                self._kept[key] = kept
        return frames
