"""Edit list: shortens what an mp4 of ours shows, so that its last frames are decoded only.

libav writes an edit list (elst of ISO/IEC 14496-12) with one entry that is as long as the track,
and cannot be told to write less.
"""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from math import ceil
from typing import BinaryIO

from xclip.video.iso_boxes import boxes_of

_MVHD = (b"moov", b"mvhd")
_TIMESCALE_AT = {0: 12, 1: 20}  # in an mvhd, by version
_DURATION = {0: ">I", 1: ">Q"}  # of an edit, by version
_FIRST_ENTRY_AT = 8
_KIND_AT = 8  # of a track, in its hdlr


def shorten(file: BinaryIO, seconds: Fraction) -> None:
    """Have the video of the mp4 end after `seconds`, if it has an edit list that can say so."""
    scales = [_number(file, *_timescale(file, begin)) for begin, _ in boxes_of(file, _MVHD)]
    for begin, end in boxes_of(file, (b"moov", b"trak")):
        handlers = boxes_of(file, (b"mdia", b"hdlr"), begin, end)
        if scales and any(_bytes(file, at + _KIND_AT, 4) == b"vide" for at, _ in handlers):
            for edits, _ in boxes_of(file, (b"edts", b"elst"), begin, end):
                form = _DURATION[_number(file, edits, 1)]
                file.seek(edits + _FIRST_ENTRY_AT, os.SEEK_SET)
                file.write(struct.pack(form, ceil(seconds * scales[0])))


def _timescale(file: BinaryIO, mvhd: int) -> tuple[int, int]:
    """Where it is, and how long."""
    return mvhd + _TIMESCALE_AT[_number(file, mvhd, 1)], 4


def _number(file: BinaryIO, at: int, size: int) -> int:
    return int.from_bytes(_bytes(file, at, size))


def _bytes(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at, os.SEEK_SET)
    return file.read(size)
