"""Job queue: jobs under leases, and the one transaction that makes a video searchable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from app.catalog.errors import JobStateConflict
from app.catalog.records import Job, JobStatus, NewSegment, RecordPage, VideoFacts
from app.catalog.sql import collections, jobs, videos
from app.catalog.sql import segments as segment_rows
from app.catalog.transactions import Transactions

TOKEN_BYTES = 16
WORKER_LOST = ("worker_lost", "The worker was lost in the middle of the job.")


class Queue(Transactions):
    """Work to be done. Methods that name a job raise JobNotFound."""

    def claim_job(
        self, owner: str, lease_s: float, *, longest_s: float | None = None
    ) -> Job | None:
        """The job whose turn it is, now held by the worker `owner` for `lease_s` seconds.

        Keys take turns, and within a key its collections, by the seconds of work that each has
        received; within a collection the oldest job that is due comes first.

        longest_s : jobs that are known to take longer are left out

        No two claims get the same job while its lease lasts. A job whose worker let the lease run
        out, by what this process has seen, may be what kills the workers: it waits like one that
        failed, and fails with `attempts_exhausted` once that has happened too often (poison pill).
        """
        with self._read() as connection:  # an idle worker asks often, and must not stop writers
            found = jobs.in_doubt(connection)
            over = self._lease_watch.over(found, lease_s, self._shared_now(connection))
            if not jobs.any_claimable(connection, over, longest_s):
                return None
        while self._end_abandoned(over):
            pass
        with self._write() as connection:
            now = self._shared_now(connection)
            while (job := jobs.next_in_turn(connection, over, now, longest_s)) is not None:
                if job.attempts >= self._max_lost:
                    self._exhaust(connection, job, now)
                else:
                    token = self._entropy(TOKEN_BYTES).hex()
                    expires = now + timedelta(seconds=lease_s)
                    jobs.start(connection, job, owner, token, now, expires)
                    self._lease_watch.leased(job.id, token, expires, lease_s)
                    self._lease_watch.begun(token, now)
                    return jobs.get(connection, job.id)
        return None

    def _end_abandoned(self, over: Sequence[Job]) -> bool:
        """End the attempt of one of those jobs, whose worker is lost; False when there is none."""
        with self._write() as connection:
            job = jobs.next_abandoned(connection, over)
            if job is None:
                return False
            if job.attempts >= self._max_lost:
                self._exhaust(connection, job, self._shared_now(connection))
            else:
                self._queue_later(connection, job, WORKER_LOST)
            return True

    def _exhaust(self, connection: Connection, job: Job, now: datetime) -> None:
        message = f"The worker was lost in the last of {job.attempts} attempts."
        jobs.fail(connection, job, jobs.EXHAUSTED, message, now)

    def price_job(self, job_id: str, lease_token: str, price_s: float) -> bool:
        """Note how many seconds the ingest will take; False when it is not this worker's any more.

        What was said of it before is replaced.
        """
        with self._write() as connection:
            return jobs.set_price(connection, job_id, lease_token, price_s)

    def heartbeat(
        self,
        job_id: str,
        lease_token: str,
        *,
        stage: str,
        progress: float,
        lease_s: float,
        seconds: tuple[float, float] | tuple[None, None] = (None, None),
    ) -> bool:
        """Hold the job for another `lease_s` seconds; False when it is not this worker's any more.

        progress : from 0 to 1
        seconds : of the video, those done and all of them, once they are known
        """
        with self._write() as connection:
            now = self._shared_now(connection)
            self._correct_start(connection, job_id, lease_token, now)
            expires = now + timedelta(seconds=lease_s)
            held = jobs.beat(connection, job_id, lease_token, stage, progress, seconds, expires)
        if held:
            self._lease_watch.leased(job_id, lease_token, expires, lease_s)
        return held

    def complete_ingest(
        self,
        job_id: str,
        lease_token: str,
        *,
        facts: VideoFacts,
        segments: Sequence[NewSegment],
        embeddings: npt.NDArray[np.float32],
        model: str,
        fingerprint: str,
    ) -> Job:
        """Make a video's segments findable and end the job, all of it or nothing.

        embeddings : float32, shape = (N, D), in the order of `segments`
        model, fingerprint : name and identity of what made them

        The segments replace any the video has. Calling again after a lost answer changes nothing.
        Raises LeaseLost, VectorsOfAnotherModel (the collection holds another model's vectors) and
        ValueError (no segments, or embeddings that do not fit them).
        """
        _check(segments, embeddings)
        named = [(self._new_id("seg"), segment) for segment in segments]
        with self._write() as connection:
            # Locks are taken in one order everywhere: collection, job, video.
            name = jobs.get(connection, job_id).collection
            collection = collections.get(connection, name, lock=True)
            now = self._shared_now(connection)
            self._correct_start(connection, job_id, lease_token, now)
            job = jobs.held(connection, job_id, lease_token, ended="succeeded")
            if job.status == "succeeded":
                return job
            dim = embeddings.shape[1]
            collections.settle_model(connection, collection, model, fingerprint, dim)
            segment_rows.replace(connection, collection, job.video_id, named, embeddings, now)
            videos.set_ready(connection, job.video_id, facts)
            jobs.succeed(connection, job, facts.duration_s, now)
            return jobs.get(connection, job_id)

    def fail_job(
        self,
        job_id: str,
        lease_token: str,
        *,
        code: str,
        message: str,
        retry: bool,
        from_outside: bool = False,
    ) -> Job:
        """End a job's attempt: with `retry` it waits for the next one while any is left.

        Each wait is about twice as long as the one before. Without, or without an attempt left, the
        job fails. An attempt that was ended `from_outside` is like one whose worker was lost:
        many more are left. `message` is a sentence for the person who sent the video. Raises
        LeaseLost.
        """
        with self._write() as connection:
            now = self._shared_now(connection)
            self._correct_start(connection, job_id, lease_token, now)
            job = jobs.held(connection, job_id, lease_token, ended="failed")
            if job.status == "failed":
                return job
            most = self._max_lost if from_outside else self._max_attempts
            if retry and job.attempts < most:
                self._queue_later(connection, job, (code, message))
            else:
                jobs.fail(connection, job, code, message, now)
            return jobs.get(connection, job_id)

    def postpone_job(
        self, job_id: str, lease_token: str, *, code: str, message: str, wait_s: float
    ) -> Job:
        """Return a job to the queue for reasons that are not its own; due again after `wait_s`.

        The attempt is not counted. `message` is as for `fail_job`. Raises LeaseLost.
        """
        with self._write() as connection:
            self._correct_start(connection, job_id, lease_token, self._shared_now(connection))
            job = jobs.held(connection, job_id, lease_token, ended="running")
            self._put_off(connection, job, job.attempts - 1, (code, message), wait_s)
            return jobs.get(connection, job_id)

    def release_job(self, job_id: str, lease_token: str) -> bool:
        """Give a job back untouched, its attempt not counted; False when it was lost already."""
        with self._write() as connection:
            now = self._shared_now(connection)
            self._correct_start(connection, job_id, lease_token, now)
            job = jobs.get(connection, job_id, lock=True)
            if job.status != "running" or job.lease_token != lease_token:
                return False
            jobs.queue_again(connection, job, now, job.attempts - 1)
            return True

    def cancel_job(self, job_id: str) -> Job:
        """Stop a job that has not ended. Raises JobStateConflict if it has, otherwise than so."""
        with self._write() as connection:
            job = jobs.get(connection, job_id, lock=True)
            if job.status in ("succeeded", "failed"):
                raise JobStateConflict(f"job {job_id!r} has {job.status}: nothing to cancel")
            if job.status != "canceled":
                jobs.cancel(connection, job, self._shared_now(connection))
            return jobs.get(connection, job_id)

    def retry_job(self, job_id: str) -> Job:
        """Queue a failed or canceled job again, its attempts counted anew.

        One that waits for its next attempt may begin it now.

        Raises VideoNotFound when its video is gone, and JobStateConflict when the job runs, has
        succeeded, or a later job has the video.
        """
        with self._write() as connection:
            job = jobs.get(connection, job_id, lock=True)
            if job.status == "queued":
                if job.not_before is not None:
                    jobs.make_due(connection, job_id)
                return jobs.get(connection, job_id)
            if job.status not in ("failed", "canceled"):
                raise JobStateConflict(f"job {job_id!r} is {job.status}: nothing to retry")
            latest = videos.get(connection, job.collection, job.video_id).job_id
            if latest != job_id:
                raise JobStateConflict(f"video {job.video_id!r} has a later job, {latest!r}")
            jobs.queue_again(connection, job, self._shared_now(connection), attempts=0)
            videos.set_processing(connection, job.video_id, job_id)
            return jobs.get(connection, job_id)

    def get_job(self, job_id: str) -> Job:
        """The job of that id."""
        with self._read() as connection:
            return jobs.get(connection, job_id)

    def list_jobs(
        self,
        *,
        status: JobStatus | None = None,
        collection: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> RecordPage[Job]:
        """Jobs, the newest first. Raises InvalidCursor."""
        with self._read() as connection:
            return jobs.page(connection, status, collection, cursor, limit)

    def _correct_start(
        self, connection: Connection, job_id: str, lease_token: str, now: datetime
    ) -> None:
        """After the clock was set: what others subtract from its time must be of the same clock."""
        started = self._lease_watch.corrected_start(lease_token, now)
        if started is not None:
            jobs.correct_start(connection, job_id, lease_token, started)

    def _queue_later(self, connection: Connection, job: Job, error: tuple[str, str]) -> None:
        wait_s = jobs.pause_s(job.attempts, self._entropy)
        self._put_off(connection, job, job.attempts, error, wait_s)

    def _put_off(
        self,
        connection: Connection,
        job: Job,
        attempts: int,
        error: tuple[str, str],
        wait_s: float,
    ) -> None:
        now = self._shared_now(connection)
        due = now + timedelta(seconds=wait_s)
        jobs.queue_again(connection, job, now, attempts, error, due)
        self._lease_watch.paused(job.id, due, wait_s)


def _check(segments: Sequence[NewSegment], embeddings: npt.NDArray[np.float32]) -> None:
    if embeddings.dtype != np.float32 or embeddings.ndim != 2 or embeddings.shape[1] == 0:
        raise ValueError(
            f"embeddings must be float32 of shape (N, D), not {embeddings.dtype} {embeddings.shape}"
        )
    if not 0 < len(segments) == len(embeddings):
        raise ValueError(f"{len(segments)} segments do not fit {len(embeddings)} embeddings")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings must be finite")
