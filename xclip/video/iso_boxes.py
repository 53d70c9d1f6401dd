"""ISO base media boxes: where the parts of an mp4 are in it (ISO/IEC 14496-12)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from xclip.video.seekable_file import SeekableFile

_HEADER = struct.Struct(">I4s")  # a box's size, or 1 if that follows, and its kind
_LONG_SIZE = 8
_MOST_BOXES = 1000  # looked at in one place


def boxes(
    file: SeekableFile, begin: int = 0, end: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each box between two places, and where its content begins and ends, as it says.

    In a file that is cut off, the last one ends behind the file.
    """
    length = file.seek(0, os.SEEK_END)
    end = length if end is None else min(end, length)
    for _ in range(_MOST_BOXES):
        if begin + _HEADER.size > end:
            return
        file.seek(begin, os.SEEK_SET)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        size, kind = _HEADER.unpack(header)
        content = begin + _HEADER.size
        if size == 1:
            size = int.from_bytes(file.read(_LONG_SIZE))
            content += _LONG_SIZE
        size = size or end - begin  # none: the last one, which goes on to the end
        if begin + size < content:
            return
        yield kind, content, begin + size
        begin += size


def boxes_of(
    file: SeekableFile, path: tuple[bytes, ...], begin: int = 0, end: int | None = None
) -> Iterator[tuple[int, int]]:
    """Where the content of each box at `path` begins and ends."""
    for kind, content, after in boxes(file, begin, end):
        if kind == path[0] and len(path) == 1:
            yield content, after
        elif kind == path[0]:
            yield from boxes_of(file, path[1:], content, after)
