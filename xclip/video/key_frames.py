"""Key frames: whether a packet that its container marks as one is one, by its first bits.

An mp4 without a table of key frames marks all of its frames; and a video that is refreshed bit by
bit has none, but its containers mark the frames at which a refresh begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from av.video.codeccontext import VideoCodecContext

from xclip.video.av1 import has_sequence_header
from xclip.video.nal_units import h264_length_size, hevc_length_size, nal_units

_HEVC_RANDOM_ACCESS = frozenset(range(16, 22))  # kinds of NAL unit, ITU-T H.265
_H264_SLICE, _H264_IDR, _H264_SEI = 1, 5, 6  # kinds of NAL unit, ITU-T H.264
_H264_INTRA = frozenset({2, 4, 7, 9})  # kinds of slice
_RECOVERY_POINT = 6  # kind of SEI message
_SLICE_HEADER = 16  # bytes looked at

_MPEG4_VOP = re.compile(rb"\x00\x00\x01\xb6(.)", re.DOTALL)
_MPEG2_PICTURE = re.compile(rb"\x00\x00\x01\x00.(.)", re.DOTALL)


def is_key_frame(packet: bytes, context: VideoCodecContext) -> bool:
    """Whether frames from this one on, in the order of decoding, need none from before it.

    packet : what its container marks as a key frame; `context` is its decoder
    """
    check = _CHECKS.get(context.name)
    return check is None or check(packet, context)


def _is_h264_key(packet: bytes, context: VideoCodecContext) -> bool:
    """An instantaneous refresh, or intra-coded and not the beginning of a slow one."""
    messages: list[tuple[int, bytes]] = []
    for unit in nal_units(packet, h264_length_size(context)):
        kind = unit[0] & 0x1F
        if kind == _H264_IDR:
            return True
        if kind == _H264_SEI:
            messages += _messages(unit[1:].replace(b"\0\0\3", b"\0\0"))
        if kind == _H264_SLICE:
            # recovery_frame_cnt is coded so that zero is a first bit of one.
            late = any(kind == _RECOVERY_POINT and body[0] < 0x80 for kind, body in messages)
            return not late and _h264_slice_type(unit[1:_SLICE_HEADER]) in _H264_INTRA
    return False


def _messages(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each SEI message that has any, as far as they are there."""
    at = 0
    while at + 2 < len(content):
        numbers = []
        for _ in ("kind", "size"):
            number = 0
            while at < len(content) and content[at] == 0xFF:
                number, at = number + 0xFF, at + 1
            number, at = number + (content[at] if at < len(content) else 0), at + 1
            numbers.append(number)
        kind, size = numbers
        if body := content[at : at + size]:
            yield kind, body
        at += size


def _h264_slice_type(header: bytes) -> int:
    """The second of a slice header's numbers, which are Exp-Golomb codes; -1 if it is not there."""
    bits = "".join(f"{byte:08b}" for byte in header.replace(b"\0\0\3", b"\0\0"))
    number = at = -1
    for _ in ("first_mb_in_slice", "slice_type"):
        one = bits.find("1", at + 1)
        end = one + (one - at - 1)  # as many bits behind the first one as zeros before it
        if one < 0 or end >= len(bits):
            return -1
        number, at = int(bits[one : end + 1], 2) - 1, end
    return number


def _is_hevc_key(packet: bytes, context: VideoCodecContext) -> bool:
    units = nal_units(packet, hevc_length_size(context))
    return any(unit[0] >> 1 & 0x3F in _HEVC_RANDOM_ACCESS for unit in units)


def _is_mpeg4_key(packet: bytes, _: VideoCodecContext) -> bool:
    found = _MPEG4_VOP.search(packet)
    return found is not None and found[1][0] >> 6 == 0


def _is_mpeg2_key(packet: bytes, _: VideoCodecContext) -> bool:
    found = _MPEG2_PICTURE.search(packet)
    return found is not None and found[1][0] >> 3 & 7 == 1


def _is_vp8_key(packet: bytes, _: VideoCodecContext) -> bool:
    return packet[0] & 1 == 0


def _is_vp9_key(packet: bytes, _: VideoCodecContext) -> bool:
    has_reserved_bit = packet[0] >> 4 & 3 == 3  # profile 3
    return packet[0] >> (1 if has_reserved_bit else 2) & 3 == 0  # neither shown again nor inter


def _is_av1_key(packet: bytes, _: VideoCodecContext) -> bool:
    return has_sequence_header(packet)


_CHECKS: Final[Mapping[str, Callable[[bytes, VideoCodecContext], bool]]] = {
    "h264": _is_h264_key,
    "hevc": _is_hevc_key,
    "mpeg4": _is_mpeg4_key,
    "mpeg1video": _is_mpeg2_key,
    "mpeg2video": _is_mpeg2_key,
    "vp8": _is_vp8_key,
    "vp9": _is_vp9_key,
    "libdav1d": _is_av1_key,
}
