"""DisplayWidth: has a webm of ours say that its pixels are not square.

libav's muxer writes it from a field that PyAV cannot set. What it adds is taken from the track's
number, for which libav writes eight bytes and uses one: so nothing in the file moves.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from xclip.video.ebml import element, elements, number, written

_SEGMENT, _TRACKS, _TRACK = 0x18538067, 0x1654AE6B, 0xAE
_TRACK_UID, _TRACK_TYPE, _VIDEO_TYPE, _VIDEO = 0x73C5, 0x83, b"\1", 0xE0
_DISPLAY_WIDTH = 0x54B0
_HEAD_BYTES = 1 << 20  # in which the tracks are: they come before all frames


def state_display_width(file: BinaryIO, pixels: int) -> None:
    """Have the video of a webm that libav wrote be shown so wide, by its stored height."""
    file.seek(0, os.SEEK_SET)
    head = file.read(_HEAD_BYTES)
    for begin, end in _tracks(head):
        track = head[begin:end]
        if (_TRACK_TYPE, _VIDEO_TYPE) in elements(track):
            changed = _with_display_width(track, pixels)
            if len(changed) == len(track):
                file.seek(begin, os.SEEK_SET)
                file.write(changed)
            return


def _tracks(head: bytes) -> list[tuple[int, int]]:
    """Where the content of each track begins and ends."""
    found: list[tuple[int, int]] = []
    at = 0
    while (each := element(head, at)) is not None:
        kind, begin, size = each
        if kind == _TRACK:
            found.append((begin, begin + size))
        at = begin if kind in (_SEGMENT, _TRACKS) else begin + size
    return found


def _with_display_width(track: bytes, pixels: int) -> bytes:
    """A track of the same length, or, if its number leaves no room, of another one."""
    display = written(_DISPLAY_WIDTH, number(pixels))
    parts = [
        (kind, content + display if kind == _VIDEO else content)
        for kind, content in elements(track)
    ]
    grown = sum(len(written(*part)) for part in parts) - len(track)
    return b"".join(
        written(kind, _shortened(content, grown) if kind == _TRACK_UID else content)
        for kind, content in parts
    )


def _shortened(uid: bytes, count: int) -> bytes:
    """A number with so many bytes fewer, if those are zeros."""
    return uid if any(uid[:count]) else uid[count:]
