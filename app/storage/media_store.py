"""Media store: content by its hash, thumbnails by segment, incoming files until kept.

Keys in the object store:

    media/ab/abcd…                      the bytes of one upload, named by their SHA-256
    thumbnails/<video_id>/<index>.webp
    thumbnails/<video_id>/sprite.webp, sprite.vtt

Files on the machine itself:

    tmp/incoming-…          files being received; those of a dead process are swept
    tmp/media.lock          held while a content file and its row change together

Every name is made here from a hash, an id or chance; what a user calls a file never reaches a path.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import secrets
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from app.data_layout import DataLayout
from app.errors import ServiceError
from app.storage.disk_reserve import DiskReserve
from app.storage.object_store import ObjectMissing, ObjectStore

SPACE_CHECK_BYTES = 64 << 20  # how much is written between two checks of the free space
_READ_BYTES = 1 << 20
CONTENTS = "media/"
_THUMBNAILS = "thumbnails/"
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_VIDEO_ID = re.compile(r"vid_[0-9a-z]{1,64}\Z")


class MediaError(ServiceError):
    """Root of what goes wrong with media files."""

    code = "media_error"


class ContentTooLarge(MediaError):
    """More bytes arrived than the limit allows."""

    code = "payload_too_large"
    status = 413


class StorageFull(MediaError):
    """The disk would be left with less free space than the service needs for itself."""

    code = "storage_full"
    status = 507
    retry_after_s = 60.0


@dataclass(frozen=True, slots=True)
class StoredContent:
    """What a kept file is: its hash (64 hex digits) and its length in bytes."""

    sha256: str
    size_bytes: int


class Received(Protocol):
    """A whole file in `tmp`, about to be kept."""

    @property
    def path(self) -> Path:
        """Where it is, until it is kept."""

    def sync(self) -> StoredContent:
        """Bring every byte to the disk and say what they are."""


class IncomingFile:
    """One file being received: written in chunks, hashed and counted as they come.

    Holds a lock on the file as long as it is open, so that the sweep can tell it from what
    a dead process left behind.

    check_free_space : gets how many bytes are still to come; raises StorageFull if they do not fit
    """

    def __init__(self, path: Path, max_bytes: int, check_free_space: Callable[[int], None]) -> None:
        self.path = path
        self.size_bytes = 0
        self.max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._free_space = FreeSpaceChecks(check_free_space)
        self._file = _create_locked(path)

    def expect(self, size_bytes: int) -> None:
        """The declared size in bytes; raises StorageFull if it does not fit on the disk."""
        self._free_space.expect(size_bytes)

    def write(self, chunk: bytes) -> None:
        """Append `chunk`; raises ContentTooLarge as soon as the total passes the limit.

        Raises StorageFull when the disk gets too full on the way.
        """
        if self.size_bytes + len(chunk) > self.max_bytes:
            raise ContentTooLarge(f"The file is larger than the limit of {self.max_bytes} bytes.")
        self._free_space.count(len(chunk))
        self.size_bytes += len(chunk)
        self._hash.update(chunk)
        write_all(self._file, chunk)

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


@dataclass(frozen=True, slots=True)
class AdoptedFile:
    """A whole file that lies elsewhere too, under a second name in `tmp`.

    The caller that adopts it holds a lock on the file, which holds for both names.
    """

    path: Path

    def sync(self) -> StoredContent:
        """Read the file through, bring it to the disk and say what it is."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.sha256()
            size_bytes = 0
            while chunk := file.read(_READ_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
        return StoredContent(digest.hexdigest(), size_bytes)


class FreeSpaceChecks:
    """Checks the free space before a body comes, and again after each 64 MiB of it."""

    def __init__(self, check_free_space: Callable[[int], None]) -> None:
        self._check_free_space = check_free_space
        self._unchecked = 0

    def expect(self, size_bytes: int) -> None:
        """The declared size in bytes; raises StorageFull."""
        self._check_free_space(size_bytes)

    def count(self, size_bytes: int) -> None:
        """The size in bytes of what is about to be written; raises StorageFull."""
        self._unchecked += size_bytes
        if self._unchecked >= SPACE_CHECK_BYTES:
            self._check_free_space(size_bytes)
            self._unchecked = 0


class MediaStore:
    """The media of one library; safe to use from several threads and processes.

    layout : its data folder, whose `tmp` holds the files being received
    objects : the content and the pictures; receives finished files of `layout.tmp`
    min_free_bytes : what files being received must leave free on the disk
    """

    def __init__(
        self, layout: DataLayout, objects: ObjectStore, *, min_free_bytes: int = 0
    ) -> None:
        self.layout = layout
        self.objects = objects
        self.tmp = layout.tmp
        self.reserve = DiskReserve(layout)
        self._min_free_bytes = min_free_bytes
        self._is_short = False

    def sweep(self) -> int:
        """Remove what dead processes left behind; returns how many files and folders went."""
        removed = 0
        for path in self.tmp.glob("incoming-*"):
            with suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
                removed += 1
        return removed + self.objects.sweep()

    def check_free_space(self, size_bytes: int) -> None:
        """Raise StorageFull unless so many bytes more leave enough of the disk free.

        Once too little is free it takes an eighth more until something is accepted again: at the
        very mark, files would be begun and broken off in turn.
        """
        free = shutil.disk_usage(self.tmp).free
        reopens_at = self._min_free_bytes + self._min_free_bytes // 8
        self._is_short = free < (reopens_at if self._is_short else self._min_free_bytes)
        if self._is_short or free - size_bytes < self._min_free_bytes:
            raise StorageFull(
                "The data folder's disk is too full for this file. Searches go on; "
                "delete videos or make room, then send it again."
            )

    def receive(self, max_bytes: int) -> IncomingFile:
        """Open a new temporary file that takes at most `max_bytes`; use it in a `with`."""
        return IncomingFile(self._temporary(), max_bytes, self.check_free_space)

    @contextmanager
    def adopt(self, path: Path) -> Iterator[AdoptedFile]:
        """Give a whole file outside `tmp`, locked by the caller, a second name to be kept by.

        Its first name stays: until its row is committed, nothing else would lead to the bytes.
        """
        adopted = AdoptedFile(self._temporary())
        os.link(path, adopted.path)
        try:
            yield adopted
        finally:
            adopted.path.unlink(missing_ok=True)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the store for changes of content files together with the rows that point at them.

        Without it, deleting the last video of some bytes could remove the file that an upload of
        the same bytes has just found there. The lock is the kernel's: threads and processes of
        one machine respect it, and it dies with its holder.
        """
        with (self.tmp / "media.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def keep(self, incoming: Received, stored: StoredContent) -> None:
        """Give a received and synced file its lasting name, which survives a loss of power.

        Call it inside `exclusive()`, with the commit of the row. The same bytes again replace
        themselves, which changes nothing.
        """
        key = content_key(stored.sha256)
        self.objects.put_file(key, incoming.path)
        self.objects.sync([key])

    def contents(self) -> Iterator[str]:
        """The SHA-256 of all content that is stored."""
        for key in self.objects.list(CONTENTS):
            sha256 = key.rpartition("/")[2]
            if _SHA256.match(sha256) and key == content_key(sha256):
                yield sha256

    def content_bytes(self, sha256: str) -> int | None:
        """How many bytes the content with this hash has; None if it is not stored."""
        try:
            return self.objects.stat(content_key(sha256)).size_bytes
        except ObjectMissing:
            return None

    def remove_content(self, sha256: str) -> None:
        """Remove the bytes with this hash, if they are there; call it inside `exclusive()`."""
        self.objects.delete(content_key(sha256))

    def write_thumbnail(self, video_id: str, index: int, webp: bytes) -> None:
        """Store the picture of one segment, replacing an earlier one; never half a file."""
        self.objects.put(thumbnail_key(video_id, index), webp)

    def write_sprites(self, video_id: str, webp: bytes, index: str) -> None:
        """Store a video's sprite sheet and its index, replacing earlier ones."""
        sheet, tiles = sprite_keys(video_id)
        self.objects.put(sheet, webp)
        self.objects.put(tiles, index.encode())

    def sync_thumbnails(self, video_id: str) -> None:
        """Bring every picture of a video to the disk, except those removed meanwhile."""
        self.objects.sync(self.objects.list(thumbnails_prefix(video_id)))

    def remove_thumbnails(self, video_id: str) -> None:
        """Remove every picture of a video: out of sight at once, then from the disk.

        Called again after an error it removes what was left.
        """
        self.objects.delete_prefix(thumbnails_prefix(video_id))

    def thumbnail_bytes(self) -> dict[str, int]:
        """How many bytes the pictures of each video take, by video id."""
        sizes: defaultdict[str, int] = defaultdict(int)
        for key in self.objects.list(_THUMBNAILS):
            video_id = key.split("/")[1]
            if _VIDEO_ID.match(video_id):
                with suppress(ObjectMissing):  # removed meanwhile
                    sizes[video_id] += self.objects.stat(key).size_bytes
        return sizes

    def _temporary(self) -> Path:
        return self.tmp / f"incoming-{secrets.token_hex(16)}"


def content_key(sha256: str) -> str:
    """The key of the bytes with this hash; ValueError if it is no hash."""
    if not _SHA256.match(sha256):
        raise ValueError("a content name is 64 hexadecimal digits")
    return f"{CONTENTS}{sha256[:2]}/{sha256}"


def thumbnail_key(video_id: str, index: int) -> str:
    """The key of the picture (WebP) of segment `index` of a video; ValueError if it is no id."""
    return f"{thumbnails_prefix(video_id)}{int(index)}.webp"


def sprite_keys(video_id: str) -> tuple[str, str]:
    """The keys of a video's sprite sheet (WebP) and of the index of its tiles (WebVTT)."""
    prefix = thumbnails_prefix(video_id)
    return f"{prefix}sprite.webp", f"{prefix}sprite.vtt"


def thumbnails_prefix(video_id: str) -> str:
    """The prefix of a video's pictures; ValueError if it is no video id."""
    if not _VIDEO_ID.match(video_id):
        raise ValueError("a thumbnail folder is named by a video id")
    return f"{_THUMBNAILS}{video_id}/"


def write_all(file: io.FileIO, chunk: bytes) -> None:
    """Write all of `chunk` to an unbuffered file, which may take it in parts."""
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def _create_locked(path: Path) -> io.FileIO:
    """A new file with a lock on it. A sweep may pass between the two: then again."""
    while True:
        file = path.open("xb", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()
