"""Edit list: shortens what an mp4 of ours shows, so that its last frames are decoded only.

libav writes an edit list (elst of ISO/IEC 14496-12) with one entry that is as long as the track,
and cannot be told to write less.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import BinaryIO

_BOX = struct.Struct(">I4s")
_TIMESCALE_AT = {0: 12, 1: 20}  # in an mvhd, by version
_DURATION = {0: ">I", 1: ">Q"}  # of an edit, by version
_FIRST_ENTRY_AT = 8


def shorten(file: BinaryIO, seconds: Fraction) -> bool:
    """Have the video of the mp4 end after `seconds`; False where it has no edit list for that."""
    index = _index(file)
    if index is None:
        return False
    at, moov = index
    scale = next((_timescale(moov, begin) for kind, begin, _ in _boxes(moov) if kind == b"mvhd"), 0)
    for kind, begin, end in _boxes(moov):
        if kind == b"trak" and _find(moov, (b"mdia", b"hdlr"), begin, end, holds=b"vide"):
            entry = _find(moov, (b"edts", b"elst"), begin, end)
            if entry is None:
                return False
            form = _DURATION[moov[entry]]
            file.seek(at + entry + _FIRST_ENTRY_AT, os.SEEK_SET)
            file.write(struct.pack(form, ceil(seconds * scale)))
            return True
    return False


def _index(file: BinaryIO) -> tuple[int, bytes] | None:
    """Where the moov's content begins, and the content."""
    at = 0
    while True:
        file.seek(at, os.SEEK_SET)
        header = file.read(_BOX.size)
        if len(header) < _BOX.size:
            return None
        size, kind = _BOX.unpack(header)
        if kind == b"moov":
            return at + _BOX.size, file.read(size - _BOX.size)
        if size < _BOX.size:
            return None
        at += size


def _boxes(
    content: bytes, begin: int = 0, end: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each box between two places, and where its content begins and ends."""
    end = len(content) if end is None else end
    while begin + _BOX.size <= end:
        size, kind = _BOX.unpack_from(content, begin)
        yield kind, begin + _BOX.size, begin + size
        begin += max(size, _BOX.size)


def _find(
    content: bytes, path: tuple[bytes, ...], begin: int, end: int, holds: bytes = b""
) -> int | None:
    """Where the content of the first box at `path` that holds these bytes begins."""
    for kind, inner, inner_end in _boxes(content, begin, end):
        if kind != path[0]:
            continue
        if len(path) > 1:
            return _find(content, path[1:], inner, inner_end, holds)
        if holds in content[inner:inner_end]:
            return inner
    return None


def _timescale(moov: bytes, mvhd: int) -> int:
    return int.from_bytes(moov[mvhd + _TIMESCALE_AT[moov[mvhd]] :][:4])
