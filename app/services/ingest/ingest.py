"""Ingest service: turns received files into videos with jobs, idempotently."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import Counter

from app import failpoints
from app.catalog import Catalog
from app.catalog.errors import KeyAnswered, NotFound
from app.catalog.records import Job, JobStatus, Metadata, NewVideo, RecordPage, UploadKey, Video
from app.errors import IdempotencyInFlight, IdempotencyKeyReused, InvalidRequest
from app.storage.media_store import MediaStore, Received, StoredContent
from app.telemetry.context import for_job

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upload:
    """A received file and what its sender calls it."""

    incoming: Received
    filename: str
    content_type: str
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class AcceptedUpload:
    """An upload that is safe on disk; `queued` says whether it started the job.

    `replayed` is True if that was said before, to an earlier request under the same key.
    `metadata` is what was sent with it.
    """

    video: Video
    job: Job
    queued: bool
    metadata: Metadata
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request, and the Idempotency-Key it came under."""

    owner: str
    key: str


class Ingest:
    """Accepts videos and manages their jobs; the worker runs them."""

    def __init__(self, catalog: Catalog, media: MediaStore, accepted_bytes: Counter) -> None:
        self._catalog = catalog
        self._media = media
        self._accepted_bytes = accepted_bytes
        self._serving: set[Sender] = set()

    @contextmanager
    def serving(self, sender: Sender | None) -> Iterator[None]:
        """While one request under a key is served, another one raises IdempotencyInFlight.

        Between processes the catalog decides, when the answer is committed.
        """
        if sender is None:
            yield
            return
        if sender in self._serving:
            raise IdempotencyInFlight("Another request with this Idempotency-Key is being served.")
        self._serving.add(sender)
        try:
            yield
        finally:
            self._serving.discard(sender)

    def admit(
        self,
        collection: str,
        upload: Upload,
        *,
        owner: str,
        sender: Sender | None = None,
        upload_id: str | None = None,
    ) -> AcceptedUpload:
        """Keep the file, then commit its video and job; on return neither can be lost.

        The same bytes again are the same video, with what is new of their name and metadata, and
        with a new job only if its last one failed.

        owner : the key that sent the file, in whose turn the job comes
        sender : what is answered is remembered under the key, in the same commit
        upload_id : the resumable upload the file came by, finished in the same commit

        Raises InvalidRequest for a file without bytes and CollectionNotFound, and then keeps
        nothing, and IdempotencyKeyReused.
        """
        failpoints.hit("upload_written")
        stored = upload.incoming.sync()
        if stored.size_bytes == 0:
            raise InvalidRequest("The file is empty.")
        failpoints.hit("upload_synced")
        new = NewVideo(
            filename=upload.filename,
            content_type=upload.content_type,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            metadata=upload.metadata,
        )
        key = None if sender is None else _upload_key(sender, collection, new)
        if key is not None and (earlier := self._repeat(key, new.metadata)) is not None:
            return earlier
        try:
            admission = self._keep(collection, upload.incoming, stored, new, owner, key, upload_id)
        except KeyAnswered:  # by another process, since we looked
            if key is None or (earlier := self._repeat(key, new.metadata)) is None:
                raise
            return earlier
        failpoints.hit("video_committed")
        self._accepted_bytes.inc(stored.size_bytes)
        return admission

    def _keep(
        self,
        collection: str,
        incoming: Received,
        stored: StoredContent,
        new: NewVideo,
        owner: str,
        key: UploadKey | None,
        upload_id: str | None,
    ) -> AcceptedUpload:
        with self._media.exclusive():
            self._media.keep(incoming, stored)
            failpoints.hit("content_kept")
            try:
                video, job, queued = self._catalog.add_video_with_job(
                    collection, new, owner=owner, key=key, upload_id=upload_id
                )
            except BaseException:
                if not self._catalog.is_media_referenced(stored.sha256):
                    self._media.remove_content(stored.sha256)
                raise
        if queued:
            with for_job(job.id):
                logger.info("job %s: queued, video=%s", job.id, video.id)
        return AcceptedUpload(video, job, queued, new.metadata)

    def _repeat(self, key: UploadKey, metadata: Metadata) -> AcceptedUpload | None:
        """What was answered under the key, with the video and the job as they are now."""
        answered = self._catalog.find_answer(key)
        if answered is None:
            return None
        if answered.digest != key.digest:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used with another request. Use a new one."
            )
        try:
            video = self._catalog.get_video(answered.collection, answered.video_id)
        except NotFound:  # deleted this moment
            return None
        job = self._catalog.get_job(answered.job_id)
        return AcceptedUpload(video, job, answered.queued, metadata, replayed=True)

    def job(self, job_id: str) -> Job:
        """One job; raises JobNotFound."""
        return self._catalog.get_job(job_id)

    def jobs(
        self, status: JobStatus | None, collection: str | None, cursor: str | None, limit: int
    ) -> RecordPage[Job]:
        """Jobs, newest first."""
        return self._catalog.list_jobs(
            status=status, collection=collection, cursor=cursor, limit=limit
        )

    def cancel(self, job_id: str) -> Job:
        """Stop a job that has not ended; raises JobNotFound, JobStateConflict."""
        return self._catalog.cancel_job(job_id)

    def retry(self, job_id: str) -> Job:
        """Queue a job that failed or was canceled again; raises JobNotFound, JobStateConflict."""
        return self._catalog.retry_job(job_id)


def _upload_key(sender: Sender, collection: str, new: NewVideo) -> UploadKey:
    """The key, with a digest of all that the request asks for."""
    request = [collection, new.sha256, new.filename, new.metadata]
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode())
    return UploadKey(sender.owner, sender.key, digest.hexdigest())
