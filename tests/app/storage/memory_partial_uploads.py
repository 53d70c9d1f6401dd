"""Memory partial uploads: a toy, to show that the contract asks for no files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Self

from app.storage.media_store import MediaStore, Received
from app.storage.partial_uploads import (
    PartialLocked,
    PartialMissing,
    PartialUpload,
    PartialUploadStore,
    check_upload_id,
)


@dataclass
class Content:
    """An upload's bytes, its lock, and how many of the bytes count if its writer dies."""

    received: bytearray = field(default_factory=bytearray)
    lock: Lock = field(default_factory=Lock)
    checked: int | None = None


class MemoryPartialUpload:
    """One upload, open."""

    def __init__(self, content: Content) -> None:
        self._content = content
        if not content.lock.acquire(blocking=False):
            raise PartialLocked("Another request is writing to this upload.")
        self._open = True
        if content.checked is not None:
            self.cut(content.checked)

    @property
    def size_bytes(self) -> int:
        return len(self._content.received)

    def write(self, chunk: bytes) -> None:
        self._content.received += chunk

    def begin_unchecked(self) -> None:
        self._content.checked = self.size_bytes

    def end_unchecked(self) -> None:
        self._content.checked = None

    def cut(self, size_bytes: int) -> None:
        del self._content.received[size_bytes:]
        self._content.checked = None

    def sync(self) -> None:
        pass

    @contextmanager
    def adopt_into(self, media: MediaStore) -> Iterator[Received]:
        with media.receive(self.size_bytes) as incoming:
            incoming.write(bytes(self._content.received))
            yield incoming

    def close(self) -> None:
        if self._open:
            self._open = False
            self._content.lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MemoryPartialUploads:
    """The uploads of one process."""

    def __init__(self) -> None:
        self._uploads: dict[str, Content] = {}

    def create(self, upload_id: str) -> None:
        self._uploads[check_upload_id(upload_id)] = Content()

    def size_bytes(self, upload_id: str) -> int:
        return len(self._content(upload_id).received)

    def open(self, upload_id: str) -> MemoryPartialUpload:
        return MemoryPartialUpload(self._content(upload_id))

    def remove(self, upload_id: str) -> None:
        self._uploads.pop(check_upload_id(upload_id), None)

    def ids(self) -> list[str]:
        return list(self._uploads)

    def _content(self, upload_id: str) -> Content:
        try:
            return self._uploads[check_upload_id(upload_id)]
        except KeyError:
            raise PartialMissing(upload_id) from None


_: type[PartialUploadStore] = MemoryPartialUploads
__: type[PartialUpload] = MemoryPartialUpload
