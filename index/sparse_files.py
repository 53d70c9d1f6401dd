"""Hole punching: erases bytes inside a file and gives their blocks back to the disk."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator

# <linux/falloc.h>; Python's `os` has only the part of fallocate that makes files longer.
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_BLOCK = 1 << 20

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def erase(file: int, offset: int, length: int) -> None:
    """Make these bytes of an open file zeros, and give whole blocks back to the disk.

    Where the file system has no holes, zeros are written over them. The file keeps its length.
    """
    length = min(offset + length, os.fstat(file).st_size) - offset
    if length <= 0:
        return
    if _fallocate(file, _PUNCH_HOLE | _KEEP_SIZE, offset, length) == 0:
        return
    number = ctypes.get_errno()
    if number not in _CANNOT:
        raise OSError(number, os.strerror(number))
    while length > 0:
        written = os.pwrite(file, bytes(min(length, _BLOCK)), offset)
        offset, length = offset + written, length - written


def written_bytes(file: int, offset: int, length: int) -> int:
    """How many bytes of this range lie in blocks that hold anything but zeros."""
    return sum(len(block) for block in _blocks(file, offset, length) if any_set(block))


def any_set(block: bytes) -> bool:
    """Whether there is anything but zeros in it."""
    return block.count(0) != len(block)


def _blocks(file: int, offset: int, length: int) -> Iterator[bytes]:
    """What is allocated of a range, a block at a time; holes are skipped."""
    end = min(offset + length, os.fstat(file).st_size)
    while offset < end:
        try:
            start = os.lseek(file, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # nothing but a hole up to the end of the file
        stop = min(os.lseek(file, start, os.SEEK_HOLE), end)
        offset = start
        while offset < stop:
            block = os.pread(file, min(_BLOCK, stop - offset), offset)
            if not block:
                return
            yield block
            offset += len(block)
