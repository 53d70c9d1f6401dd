"""Uploads in the catalog: new videos with their jobs, idempotent answers, resumable uploads."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.catalog.errors import KeyAnswered
from app.catalog.metadata_terms import check_metadata
from app.catalog.records import (
    UNNAMED,
    AnsweredUpload,
    Job,
    Metadata,
    NewUpload,
    NewVideo,
    ResumableUpload,
    UploadKey,
    Video,
)
from app.catalog.sql import collections, idempotency, jobs, uploads, videos
from app.catalog.transactions import Transactions

ANSWER_KEPT_S = 24 * 3600  # at least
MAX_FURTHER_NAMES = 100  # of a video
MAX_MERGED_CHARACTERS = 65_536  # of the metadata of several uploads, as JSON
UPLOAD_KEPT_S = 24 * 3600  # at least, after something of it came


class UploadCatalog(Transactions):
    """Admission. Methods that name a collection raise CollectionNotFound, an upload UploadNotFound.

    An upload belongs to an owner; to all others it does not exist.
    """

    def add_video_with_job(
        self,
        collection: str,
        new: NewVideo,
        *,
        owner: str = "",
        key: UploadKey | None = None,
        upload_id: str | None = None,
    ) -> tuple[Video, Job, bool]:
        """The video with these bytes, its latest job, and whether this call queued that job.

        Bytes the collection does not hold become a new video. Bytes it holds are the video they
        are, with the new name as a further one and the metadata that it lacks; only one that
        failed gets a new job.

        owner : whose turn the job comes in
        key : what is answered is remembered under it, in the same step
        upload_id : the resumable upload that the bytes came by, which is finished in the same step

        Raises InvalidMetadata, and KeyAnswered if the key was used before.
        """
        check_metadata(new.metadata)
        try:
            with self._write() as connection:
                return self._admit(connection, collection, new, owner, key, upload_id)
        except IntegrityError as error:
            if key is None:
                raise
            # another process committed under the key a moment ago, into another collection
            raise KeyAnswered(f"the key {key.key!r} was answered before") from error

    def find_answer(self, key: UploadKey) -> AnsweredUpload | None:
        """What the key's owner was answered under it, unless that expired or the video is gone."""
        with self._read() as connection:
            return idempotency.find(connection, key)

    def expire_idempotent_answers(self, before: datetime) -> int:
        """Forget what was answered before; returns how many answers went."""
        with self._write() as connection:
            return idempotency.expire(connection, before)

    def create_upload(self, collection: str, owner: str, new: NewUpload) -> ResumableUpload:
        """Announce an upload that will come in chunks. Raises InvalidMetadata."""
        check_metadata(new.metadata)
        upload = ResumableUpload(
            id=self._new_id("upl"),
            collection=collection,
            owner=owner,
            length=new.length,
            filename=new.filename,
            content_type=new.content_type,
            metadata=new.metadata,
            created_at=self._now(),
            expires_at=self._in(UPLOAD_KEPT_S),
            video_id=None,
            job_id=None,
        )
        with self._write() as connection:
            collections.get(connection, collection, lock=True)
            uploads.put(connection, upload)
        return upload

    def unfinished_uploads_of(self, owner: str) -> tuple[int, int]:
        """How many of the owner's uploads are no video yet, and the bytes they are to have."""
        with self._read() as connection:
            return uploads.unfinished_of(connection, owner)

    def get_upload(self, upload_id: str, owner: str) -> ResumableUpload:
        """The owner's upload of that id, also when its time is over and it is not yet swept."""
        with self._read() as connection:
            return uploads.get(connection, upload_id, owner)

    def prolong_upload(self, upload_id: str) -> datetime:
        """Something of it came just now; returns until when it may lie untouched."""
        with self._write() as connection:
            return uploads.prolong(connection, upload_id, self._in(UPLOAD_KEPT_S))

    def set_upload_length(self, upload_id: str, length: int) -> None:
        """How many bytes it will have, which was not known when it was announced."""
        with self._write() as connection:
            uploads.set_length(connection, upload_id, length)

    def list_unfinished_uploads(self) -> list[ResumableUpload]:
        """Every owner's uploads that are no video yet."""
        with self._read() as connection:
            return uploads.unfinished(connection)

    def list_expired_uploads(self, now: datetime) -> list[str]:
        """The ids of those whose time is over, finished or not."""
        with self._read() as connection:
            return uploads.expired_ids(connection, now)

    def remove_expired_upload(self, upload_id: str, now: datetime) -> bool:
        """Forget an upload whose time is over; False when it was prolonged meanwhile."""
        with self._write() as connection:
            return uploads.remove_expired(connection, upload_id, now)

    def remove_upload(self, upload_id: str) -> None:
        """Forget an upload; nothing happens when it is not there."""
        with self._write() as connection:
            uploads.remove(connection, upload_id)

    def _admit(
        self,
        connection: Connection,
        collection: str,
        new: NewVideo,
        owner: str,
        key: UploadKey | None,
        upload_id: str | None,
    ) -> tuple[Video, Job, bool]:
        collections.get(connection, collection, lock=True)
        if key is not None and idempotency.find(connection, key):
            raise KeyAnswered(f"the key {key.key!r} was answered before")
        video, job, queued = self._put_video(connection, collection, new, owner)
        if key is not None:
            answer = AnsweredUpload(key.digest, collection, video.id, job.id, queued)
            idempotency.put(connection, key, answer, self._now())
        if upload_id is not None:
            expires = self._in(UPLOAD_KEPT_S)
            uploads.set_admitted(connection, upload_id, video.id, job.id, expires)
        return video, job, queued

    def _put_video(
        self, connection: Connection, collection: str, new: NewVideo, owner: str
    ) -> tuple[Video, Job, bool]:
        video = videos.find_bytes(connection, collection, new.sha256)
        if video is not None:
            video = _with_what_is_new(connection, video, new)
        if video is not None and video.status != "failed":
            return video, jobs.get(connection, video.job_id), False
        job_id = self._new_id("job")
        if video is None:
            video = self._new_video(collection, new, job_id)
            videos.put(connection, video)
        else:
            videos.set_processing(connection, video.id, job_id)
        jobs.put(connection, job_id, collection, video.id, self._now(), owner)
        video = videos.get(connection, collection, video.id)
        return video, jobs.get(connection, job_id), True

    def _new_video(self, collection: str, new: NewVideo, job_id: str) -> Video:
        return Video(
            id=self._new_id("vid"),
            collection=collection,
            filename=new.filename,
            content_type=new.content_type,
            size_bytes=new.size_bytes,
            sha256=new.sha256,
            status="processing",
            container=None,
            codec=None,
            width=None,
            height=None,
            duration_s=None,
            metadata=new.metadata,
            error_code=None,
            error_message=None,
            created_at=self._now(),
            job_id=job_id,
        )


def _with_what_is_new(connection: Connection, video: Video, new: NewVideo) -> Video:
    """The video, now with what this sender of the same bytes calls them and says of them.

    What it has stays: its name, and the value of each key. What would be too much is left out.
    """
    names = video.further_names
    is_new = new.filename not in (video.filename, *names, UNNAMED)
    if is_new and len(names) < MAX_FURTHER_NAMES:
        names = [*names, new.filename]
        videos.set_further_names(connection, video.id, names)
    metadata = {**new.metadata, **video.metadata}
    if metadata.keys() != video.metadata.keys() and _is_short(metadata):
        videos.set_metadata(connection, video.id, metadata)
    return videos.get(connection, video.collection, video.id)


def _is_short(metadata: Metadata) -> bool:
    return len(json.dumps(dict(metadata))) <= MAX_MERGED_CHARACTERS
