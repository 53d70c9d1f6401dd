"""Decoding that also tells its peak of memory; each file's process imports this, so little else."""

from __future__ import annotations

import resource
import struct
from dataclasses import dataclass
from typing import BinaryIO

from xclip.video.decode import DecodeRequest
from xclip.video.sandbox.child import _Decode

PEAK = struct.Struct("<Q")


@dataclass(frozen=True)
class DecodeAndTellPeak:
    """Decoding as always; then how much memory it took, in kilobytes."""

    request: DecodeRequest

    def __call__(self, file: BinaryIO, pipe: BinaryIO, refused: tuple[str, ...]) -> None:
        _Decode(self.request)(file, pipe, refused)
        pipe.write(PEAK.pack(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
