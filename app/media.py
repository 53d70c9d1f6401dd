"""Media files on disk: content by its hash, pictures by segment, incoming bytes until kept.

    data_dir/
      media/ab/abcd…          the bytes of one upload, named by their SHA-256
      thumbnails/<video_id>/<index>.webp
      tmp/                    files being received; the system removes what a dead process left
      tmp/media.lock          held while a content file and its row change together

Every name is made here from a hash, an id or chance; what a user calls a file never reaches a path.
A file is complete before it has its name: write in tmp, fsync, rename, fsync the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_VIDEO_ID = re.compile(r"vid_[0-9a-z]{1,64}\Z")


class MediaError(Exception):
    """Root of what goes wrong with media files; `code` never changes once published."""

    code: ClassVar[str] = "media_error"


class ContentTooLarge(MediaError):
    """More bytes arrived than the limit allows."""

    code = "payload_too_large"


@dataclass(frozen=True, slots=True)
class StoredContent:
    """What a kept file is: its hash (64 hex digits) and its length in bytes."""

    sha256: str
    size_bytes: int


class IncomingFile:
    """One file being received: written in pieces, hashed and counted as they come.

    Holds a lock on the file as long as it is open, so that a later start can tell it from the
    leavings of a process that died.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.size_bytes = 0
        self.max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._file = path.open("xb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def write(self, piece: bytes) -> None:
        """Append `piece`; raises ContentTooLarge as soon as the total passes the limit."""
        if self.size_bytes + len(piece) > self.max_bytes:
            raise ContentTooLarge(f"The file is larger than the limit of {self.max_bytes} bytes.")
        self.size_bytes += len(piece)
        self._hash.update(piece)
        view = memoryview(piece)
        while view:
            view = view[self._file.write(view) :]

    def sync(self) -> StoredContent:
        """Bring every byte to the disk and say what they are."""
        os.fsync(self._file.fileno())
        return StoredContent(self._hash.hexdigest(), self.size_bytes)

    def discard(self) -> None:
        """Close the file and remove it, if it still has its temporary name."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


class MediaStore:
    """The media files of one data folder; safe to use from several threads and processes."""

    def __init__(self, data_dir: Path) -> None:
        self._media = data_dir / "media"
        self._thumbnails = data_dir / "thumbnails"
        self.tmp = data_dir / "tmp"

    def prepare(self) -> None:
        """Create the folders."""
        for folder in (self._media, self._thumbnails, self.tmp):
            folder.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> int:
        """Remove what dead processes left in tmp; returns how many entries went."""
        removed = 0
        for path in self.tmp.glob("incoming-*"):
            with suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed += 1
        for folder in self.tmp.glob("removed-*"):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
        return removed

    def receive(self, max_bytes: int) -> IncomingFile:
        """Open a new temporary file that takes at most `max_bytes`; use it in a `with`."""
        return IncomingFile(self.tmp / f"incoming-{secrets.token_hex(16)}", max_bytes)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the store for changes of content files together with the rows that point at them.

        Without it, deleting the last video of some bytes could remove the file that an upload of
        the same bytes has just found in place. The lock is the kernel's: threads and processes of
        one machine respect it, and it dies with its holder.
        """
        with (self.tmp / "media.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def keep(self, incoming: IncomingFile, stored: StoredContent) -> None:
        """Give a received and synced file its lasting name, which survives a loss of power.

        Call it inside `exclusive()`, with the commit of the row. The same bytes again replace
        themselves, which changes nothing.
        """
        target = self.content_path(stored.sha256)
        _make_folder(target.parent)
        incoming.path.replace(target)
        _sync_folder(target.parent)

    def content_path(self, sha256: str) -> Path:
        """Where the bytes with this hash are, or would be; ValueError if it is no hash."""
        if not _SHA256.match(sha256):
            raise ValueError("a content name is 64 hexadecimal digits")
        return self._media / sha256[:2] / sha256

    def remove_content(self, sha256: str) -> None:
        """Remove the bytes with this hash, if they are there; call it inside `exclusive()`."""
        self.content_path(sha256).unlink(missing_ok=True)

    def thumbnail_path(self, video_id: str, index: int) -> Path:
        """Where the picture (webp) of segment `index` of a video is, or would be."""
        return self._thumbnail_folder(video_id) / f"{int(index)}.webp"

    def write_thumbnail(self, video_id: str, index: int, webp: bytes) -> None:
        """Store the picture of one segment, replacing an earlier one; never half a file."""
        target = self.thumbnail_path(video_id, index)
        target.parent.mkdir(exist_ok=True)
        # beside its target: what lies in `tmp` may be swept by an API that starts just now
        temporary = target.with_suffix(".partial")
        temporary.write_bytes(webp)
        temporary.replace(target)

    def remove_thumbnails(self, video_id: str) -> None:
        """Remove every picture of a video: out of sight at once, then from the disk."""
        grave = self.tmp / f"removed-{secrets.token_hex(16)}"
        with suppress(FileNotFoundError):
            self._thumbnail_folder(video_id).rename(grave)
            shutil.rmtree(grave)

    def _thumbnail_folder(self, video_id: str) -> Path:
        if not _VIDEO_ID.match(video_id):
            raise ValueError("a thumbnail folder is named by a video id")
        return self._thumbnails / video_id


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
