"""Resumable upload: receives a file in chunks, and goes on after a lost connection.

A chunk that is cut off counts as far as it came. One with a checksum counts whole or not at all.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from app.catalog import Catalog
from app.catalog.errors import UploadNotFound
from app.catalog.records import NewUpload, ResumableUpload
from app.clock import SettledClock
from app.errors import InvalidRequest, UploadExpired, UploadOffsetMismatch
from app.services.ingest.chunk import Checksum, Chunk
from app.services.ingest.ingest import Ingest, Upload
from app.services.ingest.quotas import Quotas
from app.storage.media_store import ContentTooLarge, FreeSpaceChecks, MediaStore, StorageFull
from app.storage.partial_uploads import (
    PartialLocked,
    PartialMissing,
    PartialUpload,
    PartialUploadStore,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """An upload and how many of its bytes are here; all of them are once it has a video."""

    upload: ResumableUpload
    offset: int


class ResumableUploads:
    """Uploads that outlive their connections; a video comes of one exactly as of any other."""

    def __init__(
        self,
        catalog: Catalog,
        media: MediaStore,
        partials: PartialUploadStore,
        ingest: Ingest,
        quotas: Quotas,
        clock: SettledClock,
        *,
        max_bytes: int,
    ) -> None:
        """`clock` says which uploads are over, as for `expire_uploads`."""
        self._catalog = catalog
        self._media = media
        self._partials = partials
        self._ingest = ingest
        self._quotas = quotas
        self._clock = clock
        self.max_bytes = max_bytes

    def create(self, collection: str, owner: str, new: NewUpload) -> UploadProgress:
        """Announce an upload; all that its owner has announced must find room.

        Raises CollectionNotFound, ContentTooLarge, StorageFull, QueueFull, QuotaExceeded,
        TooManyUploads.
        """
        self._quotas.check(owner)
        announced_bytes = self._quotas.check_open(owner)
        self._check_size(new.length or 0)
        self._media.check_free_space((new.length or 0) + announced_bytes)
        upload = self._catalog.create_upload(collection, owner, new)
        try:
            self._partials.create(upload.id)
        except OSError:
            self._catalog.remove_upload(upload.id)
            raise
        return UploadProgress(upload, 0)

    def look(self, upload_id: str, owner: str) -> UploadProgress:
        """How far it is, without waiting for a chunk that is coming in; raises UploadNotFound."""
        upload = self._get(upload_id, owner)
        if upload.video_id is not None:
            return _completed(upload)
        return UploadProgress(upload, self._partials.size_bytes(upload_id))

    def settle(self, upload_id: str, owner: str) -> UploadProgress:
        """How far it is for certain: that much stays, whatever happens.

        Raises UploadNotFound, UploadExpired, and PartialLocked while a chunk is coming in.
        """
        upload = self._get(upload_id, owner)
        if upload.video_id is not None:
            return _completed(upload)
        with self._partials.open(upload_id) as partial:
            partial.sync()
            return UploadProgress(upload, partial.size_bytes)

    def begin(
        self,
        upload_id: str,
        owner: str,
        offset: int,
        checksum: Checksum | None,
        length: int | None = None,
    ) -> Chunk | None:
        """Open an upload for a chunk that begins at `offset`; None if all of it is a video already.

        `length` tells how many bytes the upload has, where that was not known before.

        Raises UploadNotFound, UploadExpired, PartialLocked, UploadOffsetMismatch, and for a length
        that cannot be InvalidRequest, ContentTooLarge, StorageFull.
        """
        upload = self._get(upload_id, owner)
        if upload.video_id is not None:
            _check_offset(offset, _completed(upload).offset)
            return None
        partial = self._partials.open(upload_id)
        try:
            _check_offset(offset, partial.size_bytes)
            if length is not None:
                upload = self._with_length(upload, length, partial.size_bytes)
            checks = FreeSpaceChecks(self._media.check_free_space)
            return Chunk(upload, partial, checks, checksum, max_bytes=self.max_bytes)
        except BaseException:
            partial.close()
            raise

    def remove(self, upload_id: str, owner: str) -> None:
        """Forget an upload and what has come of it; a video that came of it stays.

        Raises UploadNotFound, UploadExpired, PartialLocked.
        """
        upload = self._get(upload_id, owner)
        self._media.reserve.give_up_if_needed()
        if upload.video_id is not None:
            self._catalog.remove_upload(upload_id)
            return
        with self._partials.open(upload_id):
            self._catalog.remove_upload(upload_id)
            self._partials.remove(upload_id)

    def finish(self, chunk: Chunk) -> UploadProgress:
        """All of a chunk has come: keep it, and make a video of the upload if it was the last.

        Raises ChecksumMismatch, and what `Ingest.admit` raises: the bytes stay, and are tried
        again by `finish_received`.
        """
        chunk.end()
        if chunk.is_last:
            self._admit(chunk.upload, chunk.partial)
        else:
            self._catalog.prolong_upload(chunk.upload.id)
        upload = self._catalog.get_upload(chunk.upload.id, chunk.upload.owner)
        return UploadProgress(upload, chunk.partial.size_bytes)

    def break_off(self, chunk: Chunk, reason: BaseException) -> None:
        """A chunk will not come to its end: keep what has come, unless that filled the disk."""
        disk_failed = isinstance(reason, StorageFull) or getattr(reason, "errno", None) is not None
        chunk.break_off(keep=not disk_failed)
        self._catalog.prolong_upload(chunk.upload.id)

    def finish_received(self) -> None:
        """Make videos of those whose last chunk came just before something failed."""
        for upload in self._catalog.list_unfinished_uploads():
            try:
                self._finish_if_received(upload)
            except OSError as error:  # of this file: it must not keep the others from their end
                logger.warning("upload %s: not finished yet, %s", upload.id, error)

    def _finish_if_received(self, upload: ResumableUpload) -> None:
        with suppress(PartialLocked, PartialMissing), self._partials.open(upload.id) as partial:
            if partial.size_bytes == upload.length and self._is_unfinished(upload):
                self._admit(upload, partial)

    def _with_length(self, upload: ResumableUpload, length: int, received: int) -> ResumableUpload:
        """The upload, whose length is told now or was told before and is the same."""
        if upload.length is not None:
            if length != upload.length:
                raise InvalidRequest(f"The upload has {upload.length} bytes, which stays so.")
            return upload
        if length < received:
            raise InvalidRequest(f"{received} bytes of the upload are here, more than {length}.")
        self._check_size(length, received)
        self._catalog.set_upload_length(upload.id, length)
        return replace(upload, length=length)

    def _check_size(self, length: int, received: int = 0) -> None:
        if length > self.max_bytes:
            raise ContentTooLarge(f"The file is larger than the limit of {self.max_bytes} bytes.")
        self._media.check_free_space(length - received)

    def _is_unfinished(self, upload: ResumableUpload) -> bool:
        """Whether it still is, now that its lock is ours."""
        try:
            return self._catalog.get_upload(upload.id, upload.owner).video_id is None
        except UploadNotFound:
            return False

    def _admit(self, upload: ResumableUpload, partial: PartialUpload) -> None:
        with partial.adopt_into(self._media) as incoming:
            self._ingest.admit(
                upload.collection,
                Upload(incoming, upload.filename, upload.content_type, upload.metadata),
                owner=upload.owner,
                upload_id=upload.id,
            )
        self._partials.remove(upload.id)

    def _get(self, upload_id: str, owner: str) -> ResumableUpload:
        upload = self._catalog.get_upload(upload_id, owner)
        now = self._clock.now()
        if now is not None and upload.expires_at <= now:
            raise UploadExpired(
                "This upload has expired because no data arrived for too long; start a new one."
            )
        return upload


def expire_uploads(catalog: Catalog, partials: PartialUploadStore, now: datetime) -> None:
    """Forget uploads whose time is over at `now`, the time of a `SettledClock`."""
    for upload_id in catalog.list_expired_uploads(now):
        _expire(catalog, partials, upload_id, now)


def remove_unneeded_bytes(catalog: Catalog, partials: PartialUploadStore) -> None:
    """Remove bytes that no upload needs any more."""
    present = set(partials.ids())  # before the rows: a row is older than its bytes
    needed = {upload.id for upload in catalog.list_unfinished_uploads()}
    for upload_id in present - needed:
        with suppress(PartialLocked, PartialMissing), partials.open(upload_id):
            partials.remove(upload_id)


def _expire(catalog: Catalog, partials: PartialUploadStore, upload_id: str, now: datetime) -> None:
    try:
        with partials.open(upload_id):
            if catalog.remove_expired_upload(upload_id, now):
                partials.remove(upload_id)
    except PartialMissing:  # it became a video
        catalog.remove_expired_upload(upload_id, now)
    except PartialLocked:  # a chunk has been coming in all this time
        return


def _completed(upload: ResumableUpload) -> UploadProgress:
    """The progress of an upload that is a video."""
    assert upload.length is not None  # only an upload whose length is known is ever complete
    return UploadProgress(upload, upload.length)


def _check_offset(sent: int, received: int) -> None:
    if sent != received:
        raise UploadOffsetMismatch(f"The upload is at byte {received}, not to {sent}.")
