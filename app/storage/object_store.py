"""Object store: the port behind which uploaded files and pictures lie, by key.

A key names an object, as "media/ab/abcd…" does. A prefix is empty or ends in a slash. No key may
also be the folder of another one: where "a/b" is an object, "a/b/c" is none.

What `put`, `put_file` and `delete` do is seen at once by every process, and survives a loss of
power after `sync` of the same keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Protocol, Self

_CHUNK_BYTES: Final = 1 << 20
_PREFIX = re.compile(r"(?:[0-9A-Za-z_][0-9A-Za-z_.-]{0,199}/)*\Z")


class ObjectMissing(Exception):
    """There is no object of that key; the message is the key."""

    code: ClassVar[str] = "object_missing"


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """Facts about one object.

    modified_s : when it was put, as Unix time
    version : differs whenever the object has been put anew
    """

    size_bytes: int
    modified_s: float
    version: str


class OpenObject(Protocol):
    """An object that is open: it can be read to its end, however soon it is deleted or replaced."""

    @property
    def stat(self) -> ObjectStat:
        """Facts about the object that is open, not about one that has replaced it."""

    def read_range(self, start: int, end: int) -> bytes:
        """Bytes from `start` to before `end`; fewer at the object's end. Raises OSError."""

    def close(self) -> None:
        """Release it; nothing can be read afterwards."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class ObjectStore(Protocol):
    """Objects by key; safe to use from several threads and processes.

    Each method raises ValueError for a key or prefix of another form, and OSError if the storage
    fails.
    """

    def put(self, key: str, content: bytes) -> None:
        """Store these bytes, replacing an earlier object; no reader sees half of them."""

    def put_file(self, key: str, file: Path) -> None:
        """Store a finished and synced temporary file, which is handed over: it goes from `file`."""

    def stat(self, key: str) -> ObjectStat:
        """Facts about an object; raises ObjectMissing."""

    def read(self, key: str) -> bytes:
        """All bytes of a small object; raises ObjectMissing."""

    def open(self, key: str) -> OpenObject:
        """Open an object, so that its facts and its ranges are those of the same bytes.

        Raises ObjectMissing.
        """

    def local_copy(self, key: str) -> AbstractContextManager[Path]:
        """Within the block: a file of the object, to be read only, for libraries that need a path.

        Entering it raises ObjectMissing.
        """

    def delete(self, key: str) -> None:
        """Remove an object if it is there."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove every object below a prefix that is not empty, out of sight at once.

        Called again after an error it removes what was left.
        """

    def sync(self, keys: Iterable[str]) -> None:
        """Bring to lasting storage what was put or deleted under these keys and prefixes.

        A key or prefix that is missing counts as deleted.
        """

    def list(self, prefix: str) -> Iterator[str]:
        """The keys below a prefix, in no order. One that comes or goes meanwhile may be missing."""

    def sweep(self) -> int:
        """Remove what interrupted deletions left behind; how much that was."""


def check_key(key: str) -> str:
    """The key; ValueError unless it has the form of one."""
    return check_prefix(f"{key}/")[:-1]


def check_prefix(prefix: str) -> str:
    """The prefix; ValueError unless it has the form of one."""
    if not _PREFIX.match(prefix) or prefix == "/":
        raise ValueError(f"no key or prefix of an object store: {prefix!r}")
    return prefix


def chunks(opened: OpenObject) -> Iterator[bytes]:
    """All of an open object in chunks of a mebibyte. Raises OSError."""
    for start in range(0, opened.stat.size_bytes, _CHUNK_BYTES):
        yield opened.read_range(start, start + _CHUNK_BYTES)
