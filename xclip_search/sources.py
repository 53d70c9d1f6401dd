"""Upload sources: a path, bytes or an open binary file, read piece by piece."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeAlias

from xclip_search.sent_files import SteadyFile, check_still, size_of, steady

UNNAMED = "unnamed"  # as the service calls a video without a name


class Readable(Protocol):
    """A file that was opened in binary mode, or what reads like one."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; none at the end."""


VideoFile: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


@dataclass(frozen=True, slots=True)
class Source:
    """A video that is sent, and its name: a file on disk, or one that is open and can seek.

    is_copy : whether the open file is the client's own
    """

    name: str
    file: Path | IO[bytes]
    is_copy: bool = False

    def size(self) -> int:
        """Its bytes; raises OSError, also for a path of what is no file."""
        if isinstance(self.file, Path):
            return size_of(self.file)
        return self.file.seek(0, os.SEEK_END)

    def check_still(self, size: int) -> None:
        """Raises ApiError file_changed unless it still has so many bytes."""
        where = self.file if isinstance(self.file, Path) else self.name
        check_still(where, self.size(), size)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, fewer if the file has become shorter."""
        if isinstance(self.file, Path):
            with self.file.open("rb") as file:
                file.seek(offset)
                return file.read(length)
        self.file.seek(offset)
        return self.file.read(length)

    @contextmanager
    def opened(self) -> Iterator[SteadyFile]:
        """The file for httpx, which sends it from its beginning; raises OSError.

        It has no descriptor: that of `gzip.open` would tell the compressed file's size.
        """
        if isinstance(self.file, Path):
            with steady(self.file) as file:
                yield file
        else:
            yield SteadyFile(self.file, self.size(), self.check_still)

    def close(self) -> None:
        """Remove a copy; a file that the caller has opened stays open."""
        if self.is_copy and not isinstance(self.file, Path):
            self.file.close()


def checked(file: object) -> None:
    """Raises TypeError for what holds no video."""
    if isinstance(file, io.TextIOBase):
        raise TypeError("The file is open as text; open it with mode 'rb'.")
    held = isinstance(file, str | os.PathLike | bytes | bytearray | memoryview)
    if not held and not hasattr(file, "read"):
        kind = type(file).__name__
        raise TypeError(f"A video is a path, bytes or a file opened with mode 'rb', not {kind}.")


def can_seek(file: object) -> bool:
    """Whether an open file can be read again from any place: a pipe cannot."""
    seekable = getattr(file, "seekable", None)
    return bool(seekable()) if seekable else hasattr(file, "seek")


def name_of(file: object) -> str:
    """The name of an open file; one without a file on disk has a number, or a word in brackets."""
    name = getattr(file, "name", None)
    if not isinstance(name, str) or name.startswith("<"):
        return UNNAMED
    return Path(name).name or UNNAMED
