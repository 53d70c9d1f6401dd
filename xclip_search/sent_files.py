"""Concurrent modification: tells a file that changes while it is sent from one that stands still.

A request says first how long its body is. A recording that goes on, or a copy that has not ended,
has another length by its last byte; half of it is not what its sender means.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from xclip_search.errors import ApiError


def size_of(file: Path) -> int:
    """A file's bytes. Raises OSError if it is not there, or a pipe or device, which has no end."""
    about = file.stat()
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(file))
    return about.st_size


def check_still(file: Path | str, now: int, size: int) -> None:
    """Raises ApiError file_changed unless the file's bytes now are as many as they were."""
    if now != size:
        how = "longer" if now > size else "shorter"
        raise ApiError("file_changed", f"{file} became {how} while it was sent.")


class SteadyFile:
    """A file to read from its begin to the end that it had when it was opened."""

    def __init__(self, reader: IO[bytes], size: int, check: Callable[[int], None]) -> None:
        self._reader = reader
        self._size = size
        self._check = check

    def read(self, length: int) -> bytes:
        """Up to so many bytes more; raises ApiError file_changed with the last of them."""
        left = self._size - self._reader.tell()
        part = self._reader.read(min(length, left))
        if len(part) in (0, left):
            self._check(self._size)
        return part

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file, but for its end."""
        if whence == os.SEEK_END:
            offset, whence = self._size + offset, os.SEEK_SET
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._reader.tell()


@contextmanager
def steady(file: Path) -> Iterator[SteadyFile]:
    """The file, opened; raises OSError if it cannot be read."""
    size = size_of(file)
    with file.open("rb") as reader:
        yield SteadyFile(reader, size, lambda size: check_still(file, size_of(file), size))
