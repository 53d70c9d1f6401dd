"""Frame sampling: fixed windows, and the centres of T equal parts of each.

Centres, because X-CLIP was trained on the middle frame of each of T equal parts of a clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Timestamps are rounded by containers and floats alike; an instant this close before a frame's
# time is that frame's.
TIME_TOLERANCE_S = 1e-6

# A last window that would add less than this share of a window is merged into the one before.
_SLIVER = 0.05


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Windows of `window_s` seconds, one every `stride_s` seconds."""

    window_s: float = 5.0
    stride_s: float = 2.5

    def __post_init__(self) -> None:
        if not 0 < self.stride_s <= self.window_s:
            raise ValueError(
                f"a stride of {self.stride_s} s must be positive and at most the window's "
                f"{self.window_s} s, or parts of a video would never be seen"
            )


@dataclass(frozen=True, slots=True)
class Window:
    """An interval of a video, in seconds from its first frame."""

    start: float
    end: float


def windows(duration_s: float, segmentation: Segmentation) -> list[Window]:
    """Windows that together cover [0, duration_s], by ascending start and end.

    All are `window_s` long, except that a shorter video is one window, and that the last one,
    which always ends at `duration_s`, may be longer by up to a twentieth.
    """
    window_s, stride_s = segmentation.window_s, segmentation.stride_s
    whole_until = duration_s - _SLIVER * window_s
    found: list[Window] = []
    while (start := len(found) * stride_s) + window_s < whole_until:
        found.append(Window(start, start + window_s))
    last_start = max(0.0, min(start, round(duration_s - window_s, 6)))
    return [*found, Window(last_start, duration_s)]


def instants(window: Window, num_frames: int) -> NDArray[np.float64]:
    """Centres of `num_frames` equal parts of a window; float64, shape = (num_frames,), seconds."""
    part_s = (window.end - window.start) / num_frames
    return window.start + (np.arange(num_frames, dtype=np.float64) + 0.5) * part_s


def shown_at(times: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of N frames is on screen at each of M moments: the last one begun, else the first.

    times : float64, shape = (N,), ascending; moments : float64, shape = (M,) → int64, shape = (M,)
    """
    begun = np.searchsorted(times, moments + TIME_TOLERANCE_S, side="right") - 1
    return np.maximum(begun, 0)
