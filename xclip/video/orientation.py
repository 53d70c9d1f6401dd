"""Orientation: rotation and mirroring of frames from the 3x3 display matrix.

Only the eight orientations that map pixels onto pixels are applied; a matrix that is singular or
turns by another angle leaves the frame as stored, as players do.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray

_MATRIX = struct.Struct("<9i")


def _unnamed(kind: type[Type], value: Any) -> Type:
    """A kind of side data that FFmpeg knows and PyAV's enum does not (EXIF, views, ...)."""
    member = object.__new__(kind)
    member._name_ = f"UNNAMED_{value}"
    member._value_ = value
    return member


# One kind without a name makes all side data of a frame unreadable, the display matrix, too. What
# PyAV offers beside it, the matrix's rotation, does not tell mirroring from turning.
Type._missing_ = classmethod(_unnamed)  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Orientation:
    """Transpose first, then flip left-right, then flip top-bottom."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation(self) -> int:
        """Degrees clockwise the frame is turned: 0, 90, 180 or 270 (after any mirroring)."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def apply(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """frame : uint8, shape = (H, W, 3) → as displayed, (H, W, 3) or (W, H, 3)."""
        if self.transpose:
            frame = frame.swapaxes(0, 1)  # (W, H, 3)
        if self.flip_x:
            frame = frame[:, ::-1]
        if self.flip_y:
            frame = frame[::-1]
        return np.ascontiguousarray(frame)

    @classmethod
    def from_matrix(cls, matrix: bytes) -> Orientation:
        """matrix : nine native-endian int32, row by row (a b u, c d v, x y w), 16.16 fixed point.

        A point (x, y) is shown at (a x + c y, b x + d y).
        """
        if len(matrix) != _MATRIX.size:
            return cls()
        a, b, _, c, d, *_ = _MATRIX.unpack(matrix)
        if b == c == 0 and a != 0 and d != 0:
            return cls(False, a < 0, d < 0)
        if a == d == 0 and b != 0 and c != 0:
            return cls(True, c < 0, b < 0)
        return cls()

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """The orientation that a decoded frame's side data says.

        Reading it makes the frame part of a reference cycle, so that it stays in memory until
        Python's collector runs: do not call this for every frame.
        """
        # PyAV's stubs describe this mapping as one with a single, other key.
        side_data = cast("Mapping[Type, SideData]", frame.side_data)
        matrix = side_data.get(Type.DISPLAYMATRIX)
        return cls() if matrix is None else cls.from_matrix(bytes(matrix))
