"""Folder partial uploads: the partial upload store that keeps each upload as a file.

    data_dir/
      uploads/<id>            the bytes so far; the length of the file is the upload's offset
      uploads/<id>.checked    length before a chunk whose checksum is not known to be right yet

A writer holds the kernel's lock on the file, which dies with it. The next writer cuts off the bytes
that a dead one left unchecked.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Self

from app.storage.folder_store import sync_path
from app.storage.media_store import MediaStore, Received, write_all
from app.storage.partial_uploads import (
    PartialLocked,
    PartialMissing,
    PartialUpload,
    PartialUploadStore,
    check_upload_id,
)

_CHECKED = ".checked"


class PartialFile:
    """One upload's file, open and locked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("r+b", buffering=0)
        except FileNotFoundError:
            raise PartialMissing(f"no file of upload {path.name}") from None
        try:
            self._lock()
            self._cut_unchecked()
            self.size_bytes = os.fstat(self._file.fileno()).st_size
            self._file.seek(self.size_bytes)
        except BaseException:
            self.close()
            raise

    def write(self, chunk: bytes) -> None:
        """Append `chunk`; an error may leave a part of it, which `cut` removes."""
        write_all(self._file, chunk)
        self.size_bytes += len(chunk)

    def begin_unchecked(self) -> None:
        """Note the length durably, so that the next writer can cut it if this one dies."""
        with self._mark.open("xb", buffering=0) as mark:
            mark.write(str(self.size_bytes).encode())
            os.fsync(mark.fileno())
        sync_path(self._path.parent)

    def end_unchecked(self) -> None:
        """What was written is correct: it is synced first, then counted."""
        self.sync()
        self._mark.unlink()
        sync_path(self._path.parent)

    def cut(self, size_bytes: int) -> None:
        """Remove everything after the first `size_bytes`, for good."""
        self._file.truncate(size_bytes)
        self._file.seek(size_bytes)
        self.size_bytes = size_bytes
        self.sync()
        self._mark.unlink(missing_ok=True)

    def sync(self) -> None:
        """Bring every byte to the disk."""
        os.fsync(self._file.fileno())

    def adopt_into(self, media: MediaStore) -> AbstractContextManager[Received]:
        """Within the block: the file under a second name, by which `media` can keep it."""
        return media.adopt(self._path)

    def close(self) -> None:
        """Let others write."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _mark(self) -> Path:
        return self._path.with_name(self._path.name + _CHECKED)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PartialLocked("Another request is writing to this upload.") from None
        if not os.fstat(self._file.fileno()).st_nlink:  # removed while we waited to open it
            raise PartialMissing(f"no file of upload {self._path.name}")

    def _cut_unchecked(self) -> None:
        try:
            checked = self._mark.read_bytes()
        except FileNotFoundError:
            return
        if checked.isdigit():  # else its writer died before it wrote anything after it
            self.cut(int(checked))
        self._mark.unlink(missing_ok=True)


class FolderPartialUploads:
    """The uploads whose files are in one folder, which exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, upload_id: str) -> None:
        """Begin an empty file, which survives a loss of power."""
        self._path(upload_id).open("xb").close()
        sync_path(self._folder)

    def size_bytes(self, upload_id: str) -> int:
        """How much was received, without waiting for a writer; raises PartialMissing."""
        try:
            return self._path(upload_id).stat().st_size
        except FileNotFoundError:
            raise PartialMissing(f"no file of upload {upload_id}") from None

    def open(self, upload_id: str) -> PartialFile:
        """The file for one writer until it is closed; raises PartialMissing, PartialLocked."""
        return PartialFile(self._path(upload_id))

    def remove(self, upload_id: str) -> None:
        """Remove the file and its mark, if they are there."""
        path = self._path(upload_id)
        path.unlink(missing_ok=True)
        path.with_name(path.name + _CHECKED).unlink(missing_ok=True)

    def ids(self) -> list[str]:
        """The uploads that have a file."""
        return [path.name for path in self._folder.iterdir() if _is_id(path.name)]

    def _path(self, upload_id: str) -> Path:
        return self._folder / check_upload_id(upload_id)


def _is_id(name: str) -> bool:
    with suppress(ValueError):
        return bool(check_upload_id(name))
    return False


_: type[PartialUploadStore] = FolderPartialUploads
__: type[PartialUpload] = PartialFile
