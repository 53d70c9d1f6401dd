"""Segmentation defaults: the window and the stride of what names none."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class SegmentationDefaults:
    """What collections and passing clips are cut by unless a request says otherwise, in seconds."""

    window_s: float
    stride_s: float

    def fill(self, window_s: float | None, stride_s: float | None) -> tuple[float, float]:
        """Window and stride in seconds, defaults filled in; a lone window caps the stride.

        Raises InvalidRequest for a stride longer than the window.
        """
        window = self.window_s if window_s is None else window_s
        stride = min(self.stride_s, window) if stride_s is None else stride_s
        if stride > window:
            raise InvalidRequest("stride_s must not be longer than window_s.")
        return window, stride
