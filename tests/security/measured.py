"""Resource use: decoding that also tells the memory and the processor time that it took.

Each file's process imports this, so it imports little else.
"""

from __future__ import annotations

import resource
import struct
from dataclasses import dataclass
from typing import BinaryIO

from xclip.video.decode import DecodeRequest
from xclip.video.sandbox.child import _Decode

USE = struct.Struct("<Qd")


@dataclass(frozen=True)
class DecodeAndTellUse:
    """Decoding as always; then its peak of memory in kilobytes, and its processor seconds."""

    request: DecodeRequest

    def __call__(self, file: BinaryIO, pipe: BinaryIO, refused: tuple[str, ...]) -> None:
        _Decode(self.request)(file, pipe, refused)
        use = resource.getrusage(resource.RUSAGE_SELF)
        pipe.write(USE.pack(use.ru_maxrss, use.ru_utime + use.ru_stime))
