"""The frame cache: what it keeps, and how much."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xclip.training.frame_cache import FrameCache


def frames(value: int) -> NDArray[np.uint8]:
    return np.full((1, 10, 10, 3), value, np.uint8)  # 300 bytes


def test_it_reads_once_what_it_has_room_for() -> None:
    """What came first stays, what came later is read again, and nothing kept can be changed."""
    cache, read = FrameCache(650), []

    def get(value: int) -> NDArray[np.uint8]:
        return cache.get(value, lambda: (read.append(value), frames(value))[1])

    for _ in range(2):
        assert [int(get(value)[0, 0, 0, 0]) for value in (1, 2, 3)] == [1, 2, 3]
    assert read == [1, 2, 3, 3]
    assert not get(1).flags.writeable


def test_a_bound_of_nothing_keeps_nothing() -> None:
    """That is how it is turned off."""
    cache, read = FrameCache(0), []
    for _ in range(2):
        cache.get("a", lambda: (read.append(1), frames(1))[1])
    assert len(read) == 2
