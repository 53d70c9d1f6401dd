"""Job watcher: one shared poller of the catalog for all requests that wait for a job.

`Prefer: wait`, event streams and searches with `after_job` wait here. The watcher reads the catalog
off the event loop, on a thread of its own, and requests that wait for the same job share each read:
many waiters slow neither the catalog nor the rest of the service.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.to_thread

from app.catalog import Catalog
from app.catalog.errors import DATABASE_ERRORS
from app.catalog.records import Job
from app.errors import DeadlineExceeded, InvalidRequest, JobDidNotSucceed, TooManyStreams
from app.services.ingest.waiter_limits import WaiterLimit

logger = logging.getLogger(__name__)

# Waiters share each read: measured with 100 of them, 0.1 s costs about as much CPU as 0.25 s does.
LOOK_EVERY_S: Final = 0.1
SILENCE_S = 15.0  # proxies cut connections on which nothing comes for longer
STREAMS_AT_ONCE = 64
WAITS_AT_ONCE = 256
_ENDED = frozenset({"succeeded", "failed", "canceled"})


def has_ended(job: Job) -> bool:
    """Whether nothing more will happen to the job by itself."""
    return job.status in _ENDED


@dataclass(frozen=True, slots=True)
class _Reading:
    """A job as the catalog had it. began : monotonic seconds when the read began."""

    job: Job
    began: float


class JobWatcher:
    """Polls jobs until they change, and counts the open streams of events.

    stopping : set when the process is told to end; from then on no request is kept waiting
    """

    def __init__(self, catalog: Catalog, stopping: threading.Event) -> None:
        self._catalog = catalog
        self._stopping = stopping
        self._thread = anyio.CapacityLimiter(1)
        self._reading = threading.Lock()  # an abandoned read may still run beside the next
        self._latest: dict[str, _Reading] = {}
        self._streams = WaiterLimit(STREAMS_AT_ONCE)
        self._waits = WaiterLimit(WAITS_AT_ONCE)

    @property
    def stopping(self) -> bool:
        """Whether the process is about to end."""
        return self._stopping.is_set()

    async def look(self, job_id: str) -> Job:
        """The job as it is now; raises JobNotFound."""
        return await self._read_since(job_id, time.monotonic())

    async def wait(
        self, job_id: str, seconds: float, until: Callable[[Job], bool] = has_ended
    ) -> Job:
        """The job once `until` holds, or as it is after `seconds`. Raises JobNotFound."""
        deadline = anyio.current_time() + seconds
        job = await self.look(job_id)
        while True:
            left = deadline - anyio.current_time()
            if until(job) or left <= 0 or self.stopping:
                return job
            await anyio.sleep(min(LOOK_EVERY_S, left))
            job = await self._poll(job_id)

    async def wait_searchable(
        self, collection: str, job_id: str, deadline_ms: int, caller: str
    ) -> None:
        """Return once searches of the collection can find the job's segments.

        Raises JobNotFound, InvalidRequest (a job of another collection), JobDidNotSucceed,
        DeadlineExceeded, TooManyStreams.
        """

        def settled(job: Job) -> bool:
            return job.collection != collection or job.searchable_at is not None or has_ended(job)

        with self.waiting(caller) as may:
            if not may:
                raise TooManyStreams("Too many requests wait for a job already.")
            job = await self.wait(job_id, deadline_ms / 1000, until=settled)
        if job.collection != collection:
            raise InvalidRequest(f"The job {job.id} belongs to another collection.")
        if job.status in ("failed", "canceled"):
            raise JobDidNotSucceed(f"The job {job.id} has ended as {job.status}.")
        if job.searchable_at is None:
            raise DeadlineExceeded(f"The job {job_id} was not done within {deadline_ms} ms.")

    @contextmanager
    def waiting(self, caller: str) -> Iterator[bool]:
        """Whether a request of the caller may `wait`, as it does within the block."""
        with self._waits.enter(caller) as may:
            yield may

    @contextmanager
    def stream(self, caller: str) -> Iterator[None]:
        """Count one more open stream of the caller within the block. Raises TooManyStreams."""
        with self._streams.enter(caller) as may:
            if not may:
                raise TooManyStreams(f"{self._streams.waiting} streams of events are open already.")
            yield

    async def changes(self, job_id: str, seen: int | None) -> AsyncIterator[Job | None]:
        """The job as it is, if its revision is not `seen`, and after each change until it ends.

        Several changes in quick succession yield only the last. Yields None after SILENCE_S without
        a change. Ends early if the process stops or the catalog cannot be read.
        """
        told_at = anyio.current_time()
        read = self.look
        while not self.stopping:
            try:
                job = await read(job_id)
            except DATABASE_ERRORS as error:
                logger.warning("job %s: no longer followed, %s", job_id, type(error).__name__)
                return
            if job.revision != seen:
                yield job
                seen, told_at = job.revision, anyio.current_time()
            elif anyio.current_time() - told_at >= SILENCE_S:
                yield None
                told_at = anyio.current_time()
            if has_ended(job):
                return
            await anyio.sleep(LOOK_EVERY_S)
            read = self._poll

    async def _poll(self, job_id: str) -> Job:
        """The job as it was at most LOOK_EVERY_S ago; raises JobNotFound."""
        return await self._read_since(job_id, time.monotonic() - LOOK_EVERY_S)

    async def _read_since(self, job_id: str, since: float) -> Job:
        """The job by a read that began at `since` (monotonic seconds) or later."""
        latest = self._latest.get(job_id)
        if latest is not None and latest.began >= since:
            return latest.job
        return await anyio.to_thread.run_sync(
            self._read, job_id, since, limiter=self._thread, abandon_on_cancel=True
        )

    def _read(self, job_id: str, since: float) -> Job:
        with self._reading:
            latest = self._latest.get(job_id)
            if latest is not None and latest.began >= since:
                return latest.job  # read for another waiter while this one waited
            began = time.monotonic()
            reading = _Reading(self._catalog.get_job(job_id), began)
            recent = {
                known: other
                for known, other in self._latest.items()
                if began - other.began < LOOK_EVERY_S
            }
            self._latest = {**recent, job_id: reading}
            return reading.job
