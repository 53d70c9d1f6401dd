"""Chunk of a resumable upload: written, checked against its checksum, then counted."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from app.catalog.records import ResumableUpload
from app.errors import ChecksumMismatch, InvalidChecksum
from app.storage.media_store import FreeSpaceChecks
from app.storage.partial_uploads import PartialUpload

CHECKSUMS: Final = ("sha1", "sha256")  # the first is what every client of the protocol can


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a chunk's bytes must hash to; raises InvalidChecksum for a kind that is not known."""

    algorithm: str
    digest: bytes

    def __post_init__(self) -> None:
        if self.algorithm not in CHECKSUMS:
            raise InvalidChecksum(f"Upload-Checksum must be one of {', '.join(CHECKSUMS)}.")


class Chunk:
    """One request's chunk: its holder alone writes to the upload, until `close`.

    max_bytes : how long an upload may get whose length is not told
    """

    def __init__(
        self,
        upload: ResumableUpload,
        partial: PartialUpload,
        free_space: FreeSpaceChecks,
        checksum: Checksum | None,
        *,
        max_bytes: int,
    ) -> None:
        self._end = max_bytes if upload.length is None else upload.length
        self.upload = upload
        self.partial = partial
        self._free_space = free_space
        self._checksum = checksum
        self._began_at = partial.size_bytes
        self._hash = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        if checksum:
            partial.begin_unchecked()

    @property
    def left(self) -> int:
        """How many bytes the upload still lacks, or may have while its length is not told."""
        return self._end - self.partial.size_bytes

    @property
    def is_last(self) -> bool:
        """Whether all of the upload is here."""
        return self.partial.size_bytes == self.upload.length

    def expect(self, size_bytes: int) -> None:
        """The declared size in bytes; raises StorageFull if it does not fit on the disk."""
        self._free_space.expect(size_bytes)

    def write(self, part: bytes) -> None:
        """Append `part`, which is not longer than `left`; raises StorageFull and OSError."""
        self._free_space.count(len(part))
        self.partial.write(part)
        if self._hash is not None:
            self._hash.update(part)

    def end(self) -> None:
        """All of it has come: bring it to the disk.

        Raises ChecksumMismatch, and then nothing of it is kept.
        """
        if self._checksum is None or self._hash is None:
            self.partial.sync()
        elif hmac.compare_digest(self._hash.digest(), self._checksum.digest):
            self.partial.end_unchecked()
        else:
            self.partial.cut(self._began_at)
            raise ChecksumMismatch("The chunk differs from its Upload-Checksum; send it again.")

    def break_off(self, *, keep: bool) -> None:
        """No more of it will come: `keep` what has, unless only a checksum could vouch for it."""
        if keep and self._checksum is None:
            self.partial.sync()
        else:
            self.partial.cut(self._began_at)

    def close(self) -> None:
        """Let the next request write."""
        self.partial.close()
