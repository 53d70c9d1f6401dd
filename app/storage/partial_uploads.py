"""Partial uploads: the port behind which resumable uploads lie until they are complete.

An upload is as long as what was received of it; nothing else counts its bytes. One writer at a time
holds it, among all processes, and a writer that dies holds nothing. Of bytes that wait for their
checksum, none counts after their writer has died.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import Protocol, Self

from app.errors import ServiceError
from app.storage.media_store import MediaStore, Received

_ID = re.compile(r"upl_[0-9a-z]{1,36}\Z")


class PartialError(ServiceError):
    """Root of what goes wrong with partial uploads."""

    code = "upload_error"


class PartialMissing(PartialError):
    """Nothing is stored of that upload."""

    code = "upload_not_found"
    status = 404


class PartialLocked(PartialError):
    """Another request is writing to the upload at this moment."""

    code = "upload_locked"
    status = 423


class PartialUpload(Protocol):
    """One upload, open for one writer until it is closed. Each method may raise OSError."""

    @property
    def size_bytes(self) -> int:
        """How many bytes have been received."""

    def write(self, chunk: bytes) -> None:
        """Append `chunk`; an error may leave a part of it, which `cut` removes."""

    def begin_unchecked(self) -> None:
        """What is written from here on counts only after `end_unchecked` or another `cut`."""

    def end_unchecked(self) -> None:
        """What was written is correct: it is synced first, then counted."""

    def cut(self, size_bytes: int) -> None:
        """Truncate to `size_bytes` bytes, for good."""

    def sync(self) -> None:
        """Return once every byte would survive a loss of power."""

    def adopt_into(self, media: MediaStore) -> AbstractContextManager[Received]:
        """Within the block: the whole upload as a file that `media` can keep.

        The upload itself stays until it is removed: until its video's row is committed, nothing
        else leads to the bytes.
        """

    def close(self) -> None:
        """Let others write."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class PartialUploadStore(Protocol):
    """Partial uploads by id; safe to use from several threads and processes.

    Each method raises ValueError for an id of another form, and OSError if the storage fails.
    """

    def create(self, upload_id: str) -> None:
        """Begin an empty upload, which survives a loss of power."""

    def size_bytes(self, upload_id: str) -> int:
        """How much was received, without waiting for a writer; raises PartialMissing."""

    def open(self, upload_id: str) -> PartialUpload:
        """The upload for one writer until it is closed; raises PartialMissing, PartialLocked."""

    def remove(self, upload_id: str) -> None:
        """Remove an upload if it is there.

        The caller has it open, or no process can open it any more.
        """

    def ids(self) -> list[str]:
        """The uploads that are stored."""


def check_upload_id(upload_id: str) -> str:
    """The id; ValueError unless it has the form of one."""
    if not _ID.match(upload_id):
        raise ValueError(f"no id of an upload: {upload_id!r}")
    return upload_id
