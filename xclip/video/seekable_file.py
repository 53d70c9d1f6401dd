"""File-like object: what a container is read from."""

from __future__ import annotations

from typing import Protocol


class SeekableFile(Protocol):
    """What is read from a file: an open binary one, or bytes in memory."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int, /) -> int: ...

    def tell(self) -> int: ...
