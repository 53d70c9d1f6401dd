"""NAL units: the parts of H.264's and HEVC's packets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from av.video.codeccontext import VideoCodecContext

_START_CODE = re.compile(rb"\x00\x00\x01(?=.)", re.DOTALL)


def nal_units(content: bytes, length_size: int) -> Iterator[bytes]:
    """Each NAL unit, none empty; they follow their lengths, or start codes if that has size 0."""
    if not length_size:
        begins = [found.end() for found in _START_CODE.finditer(content)]
        for begin, after in pairwise([*begins, len(content) + 3]):
            yield content[begin : after - 3]
        return
    at = 0
    while (begin := at + length_size) < len(content):
        at = begin + int.from_bytes(content[at:begin])
        if at > begin:
            yield content[begin:at]


def h264_length_size(context: VideoCodecContext) -> int:
    """Bytes of the lengths before H.264's units, 0 where start codes are before them."""
    settings = context.extradata or b""
    return (settings[4] & 3) + 1 if len(settings) > 4 and settings[0] == 1 else 0


def hevc_length_size(context: VideoCodecContext) -> int:
    """Bytes of the lengths before HEVC's units, 0 where start codes are before them."""
    settings = context.extradata or b""
    starts = settings.startswith((b"\0\0\1", b"\0\0\0\1"))
    return (settings[21] & 3) + 1 if len(settings) > 21 and not starts else 0
