"""Following jobs: whoever waits for a change is told of it within a moment.

The catalog is looked at on behalf of everybody who waits, off the event loop and by a few threads
of its own: many followers make each other slower, not the rest of the service.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import anyio
import anyio.to_thread

from app.catalog import Catalog
from app.catalog.records import Job
from app.errors import TooManyStreams
from app.problems import DATABASE_ERRORS

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.25
SILENCE_S = 15.0  # proxies cut connections on which nothing comes for longer
STREAMS_AT_ONCE = 64
_LOOKS_AT_ONCE = 2
_ENDED = frozenset({"succeeded", "failed", "canceled"})


class JobWatcher:
    """Looks at jobs until they change, and counts who watches.

    stopping : set when the process is told to end; then nobody is kept waiting
    """

    def __init__(self, catalog: Catalog, stopping: threading.Event) -> None:
        self._catalog = catalog
        self._stopping = stopping
        self._threads = anyio.CapacityLimiter(_LOOKS_AT_ONCE)
        self._streams = 0

    @property
    def stopping(self) -> bool:
        """Whether the process is about to end."""
        return self._stopping.is_set()

    async def look(self, job_id: str) -> Job:
        """The job as it is now; raises JobNotFound."""
        return await anyio.to_thread.run_sync(
            self._catalog.get_job, job_id, limiter=self._threads, abandon_on_cancel=True
        )

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Within the block one more stream of changes is open. Raises TooManyStreams."""
        if self._streams >= STREAMS_AT_ONCE:
            raise TooManyStreams(f"{self._streams} streams of events are open already.")
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def changes(self, job_id: str, seen: int | None) -> AsyncIterator[Job | None]:
        """The job as it is, if its revision is not `seen`, and after each change until it ends.

        Of changes that follow each other at once only the last is told. Yields None whenever there
        was nothing to tell for SILENCE_S. Ends early if the process or the catalog goes away.
        """
        told_at = anyio.current_time()
        while not self.stopping:
            try:
                job = await self.look(job_id)
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


class Follows(Protocol):
    """Whoever can follow jobs: the services of a request."""

    @property
    def following(self) -> JobWatcher:
        """What looks at the jobs."""


async def wait_for_end(services: Follows, job_id: str, seconds: float) -> Job:
    """The job once it has ended, or as it is when `seconds` are over. Raises JobNotFound."""
    until = anyio.current_time() + seconds
    while True:
        job = await services.following.look(job_id)
        left = until - anyio.current_time()
        if has_ended(job) or left <= 0 or services.following.stopping:
            return job
        await anyio.sleep(min(LOOK_EVERY_S, left))


def has_ended(job: Job) -> bool:
    """Whether nothing more will happen to the job by itself."""
    return job.status in _ENDED
