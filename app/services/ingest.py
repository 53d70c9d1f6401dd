"""Uploads and the jobs they start: bytes first, then the row that promises them."""

from __future__ import annotations

from dataclasses import dataclass

from app.catalog import Catalog
from app.catalog.records import Job, JobStatus, Metadata, NewVideo, Page, Video
from app.media import IncomingFile, MediaStore


@dataclass(frozen=True, slots=True)
class Upload:
    """A received file and what its sender calls it."""

    incoming: IncomingFile
    filename: str
    content_type: str
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Admission:
    """An upload that is safe on disk; `queued` says whether this call started the job."""

    video: Video
    job: Job
    queued: bool


class Ingest:
    """Admits videos and looks after their jobs; the worker does the work."""

    def __init__(self, catalog: Catalog, media: MediaStore) -> None:
        self._catalog = catalog
        self._media = media

    def admit(self, collection: str, upload: Upload) -> Admission:
        """Keep the file, then commit its video and job; on return neither can be lost.

        The same bytes again are the same video, with a new job only if its last one failed.
        Raises CollectionNotFound, and then keeps nothing.
        """
        stored = upload.incoming.sync()
        new = NewVideo(
            filename=upload.filename,
            content_type=upload.content_type,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            metadata=upload.metadata,
        )
        with self._media.exclusive():
            self._media.keep(upload.incoming, stored)
            try:
                video, job, queued = self._catalog.add_video_with_job(collection, new)
            except BaseException:
                if not self._catalog.is_media_referenced(stored.sha256):
                    self._media.remove_content(stored.sha256)
                raise
        return Admission(video, job, queued)

    def job(self, job_id: str) -> Job:
        """One job; raises JobNotFound."""
        return self._catalog.get_job(job_id)

    def jobs(
        self, status: JobStatus | None, collection: str | None, cursor: str | None, limit: int
    ) -> Page[Job]:
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
