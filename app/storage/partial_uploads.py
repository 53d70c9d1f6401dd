"""Partial uploads: files of resumable uploads, each as long as what was received.

    data_dir/
      uploads/<id>            the bytes so far; its length is the offset, and nothing else is
      uploads/<id>.checked    length before a chunk whose checksum is not known to be right yet

A writer holds the kernel's lock on the file, so there is one at a time, among all processes, and a
dead one holds nothing. What a dead one left unchecked is cut off by the next.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.data_layout import DataLayout
from app.errors import ServiceError
from app.storage.folder_store import sync_path
from app.storage.media_store import write_all

_ID = re.compile(r"upl_[0-9a-z]{1,36}\Z")
_CHECKED = ".checked"


class PartialError(ServiceError):
    """Root of what goes wrong with these files."""

    code = "upload_error"


class PartialMissing(PartialError):
    """There is no file of that upload."""

    code = "upload_not_found"
    status = 404


class PartialLocked(PartialError):
    """Another request is writing to the file at this moment."""

    code = "upload_locked"
    status = 423


class PartialFile:
    """One upload's file, open and locked; `size_bytes` is how far it has come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("r+b", buffering=0)
        except FileNotFoundError:
            raise PartialMissing(f"no file of upload {path.name}") from None
        try:
            self._lock()
            self._forget_unchecked()
            self.size_bytes = os.fstat(self._file.fileno()).st_size
            self._file.seek(self.size_bytes)
        except BaseException:
            self.close()
            raise

    def write(self, chunk: bytes) -> None:
        """Append `chunk`; an error may leave a part of it, which `cut` takes off."""
        write_all(self._file, chunk)
        self.size_bytes += len(chunk)

    def begin_unchecked(self) -> None:
        """What is written from here on counts only after `end_unchecked`, also if we die."""
        with self._mark.open("xb", buffering=0) as mark:
            mark.write(str(self.size_bytes).encode())
            os.fsync(mark.fileno())
        sync_path(self.path.parent)

    def end_unchecked(self) -> None:
        """What was written is what the sender meant: synced first, then counted."""
        self.sync()
        self._mark.unlink()
        sync_path(self.path.parent)

    def cut(self, size_bytes: int) -> None:
        """Take off everything after the first so many bytes."""
        self._file.truncate(size_bytes)
        self._file.seek(size_bytes)
        self.size_bytes = size_bytes
        self.sync()
        self._mark.unlink(missing_ok=True)

    def sync(self) -> None:
        """Bring every byte to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let others write."""
        self._file.close()

    @property
    def _mark(self) -> Path:
        return self.path.with_name(self.path.name + _CHECKED)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PartialLocked("Another request is writing to this upload.") from None
        if not os.fstat(self._file.fileno()).st_nlink:  # removed while we waited to open it
            raise PartialMissing(f"no file of upload {self.path.name}")

    def _forget_unchecked(self) -> None:
        try:
            checked = self._mark.read_bytes()
        except FileNotFoundError:
            return
        if checked.isdigit():  # else its writer died before it wrote anything after it
            self.cut(int(checked))
        self._mark.unlink(missing_ok=True)


class PartialFiles:
    """The files of one data folder's resumable uploads."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = DataLayout(data_dir).uploads

    def prepare(self) -> None:
        """Create the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def create(self, upload_id: str) -> None:
        """An empty file, which survives a loss of power."""
        self.path(upload_id).open("xb").close()
        sync_path(self._folder)

    def size_bytes(self, upload_id: str) -> int:
        """How much has come, counted without waiting for a writer; raises PartialMissing."""
        try:
            return self.path(upload_id).stat().st_size
        except FileNotFoundError:
            raise PartialMissing(f"no file of upload {upload_id}") from None

    @contextmanager
    def locked(self, upload_id: str) -> Iterator[PartialFile]:
        """The file for one writer; raises PartialMissing, PartialLocked."""
        file = self.open(upload_id)
        try:
            yield file
        finally:
            file.close()

    def open(self, upload_id: str) -> PartialFile:
        """The file for one writer, who closes it; raises PartialMissing, PartialLocked."""
        return PartialFile(self.path(upload_id))

    def remove(self, upload_id: str) -> None:
        """Remove the file. The caller holds its lock, or no process can hold it any more."""
        path = self.path(upload_id)
        path.unlink(missing_ok=True)
        path.with_name(path.name + _CHECKED).unlink(missing_ok=True)

    def ids(self) -> list[str]:
        """The uploads that have a file."""
        return [path.name for path in self._folder.iterdir() if _ID.match(path.name)]

    def path(self, upload_id: str) -> Path:
        """Where the bytes of an upload are; ValueError if it is no id."""
        if not _ID.match(upload_id):
            raise ValueError("a partial file is named by an upload's id")
        return self._folder / upload_id
