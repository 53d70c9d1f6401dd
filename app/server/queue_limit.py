"""Backpressure: whether the ingest queue has room for another video."""

from __future__ import annotations

import asyncio
from typing import Final

import anyio
import anyio.to_thread

from app.catalog import Catalog
from app.catalog.backlog import Backlog
from app.catalog.errors import DATABASE_ERRORS
from app.clock import Clock
from app.errors import QueueFull
from app.settings import Settings

MAX_AGE_S: Final = 1.0
_MAX_RETRY_AFTER_S: Final = 3600.0


class IngestQueueLimit:
    """Reads the catalog at most once a second, however many uploads come."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._max_wait_s = settings.max_queue_wait_s
        self._max_jobs = settings.max_queued_jobs
        self._clock = clock
        self._known: Backlog | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._threads = anyio.CapacityLimiter(1)  # not a light request's

    async def check(self, catalog: Catalog) -> None:
        """Raise QueueFull if another video would have to wait too long."""
        backlog = await self._backlog(catalog)
        if backlog is None:
            return
        seconds = backlog.seconds_per_job or 1.0
        too_many = backlog.queued - self._max_jobs + 1
        too_long_s = backlog.wait_s - self._max_wait_s
        if too_many <= 0 and too_long_s <= 0:
            return
        retry_after_s = max(too_many * seconds / max(1, backlog.running), too_long_s, seconds)
        raise QueueFull(
            f"{backlog.queued} videos wait to be indexed, about {backlog.wait_s:.0f} s of work. "
            "Try again later.",
            min(retry_after_s, _MAX_RETRY_AFTER_S),
        )

    async def _backlog(self, catalog: Catalog) -> Backlog | None:
        async with self._reading:
            if self._clock.monotonic() - self._read_at >= MAX_AGE_S:
                try:
                    self._known = await anyio.to_thread.run_sync(
                        catalog.backlog, limiter=self._threads
                    )
                except DATABASE_ERRORS:
                    self._known = None  # the upload itself will say what is wrong
                self._read_at = self._clock.monotonic()
            return self._known
