"""Parameter sets: whether H.264's and HEVC's are in a stream's description or in its frames.

The descriptions are avcC and hvcC of ISO/IEC 14496-15, as libav hands them out.
"""

from __future__ import annotations

_HEVC_NEEDED = frozenset({32, 33, 34})  # VPS, SPS, PPS
_HEVC_FIXED = 22  # bytes before the number of arrays
_H264_SPS_COUNT = 5  # where it is


def are_out_of_band(decoder: str, extradata: bytes) -> bool:
    """Whether the description holds all that a decoder must know before the first frame.

    decoder : "h264" or "hevc"
    """
    if not extradata:
        return False
    if extradata.startswith((b"\0\0\1", b"\0\0\0\1")):
        return True
    if decoder == "h264":
        return len(extradata) > _H264_SPS_COUNT and extradata[_H264_SPS_COUNT] & 0x1F > 0
    return _hevc_kinds(extradata) >= _HEVC_NEEDED


def _hevc_kinds(extradata: bytes) -> frozenset[int]:
    """The kinds of NAL unit in an hvcC, as far as it is whole."""
    kinds: set[int] = set()
    at = _HEVC_FIXED
    arrays = extradata[at] if len(extradata) > at else 0
    at += 1
    for _ in range(arrays):
        head = extradata[at : at + 3]
        at += 3
        units = int.from_bytes(head[1:])
        if len(head) == 3 and units:
            kinds.add(head[0] & 0x3F)
        for _ in range(units):
            at += 2 + int.from_bytes(extradata[at : at + 2])
            if at > len(extradata):
                return frozenset(kinds)
    return frozenset(kinds)
