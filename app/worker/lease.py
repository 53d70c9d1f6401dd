"""Job lease: kept alive by heartbeats while the job runs; tells the job when it must stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Literal, Self

from app.catalog import Catalog
from app.catalog.records import Job
from app.clock import Clock

logger = logging.getLogger(__name__)

LONGEST_SILENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is.

    share : from 0 to 1, of the work
    seconds : of the video, those indexed and all of them, once they are known
    """

    stage: Literal["probe", "encode", "commit"]
    share: float
    seconds: tuple[float, float] | tuple[None, None] = (None, None)


class Lease:
    """Beats from its own thread; a context manager around the work on one job.

    The beat carries the latest progress. The lease is lost when the catalog says so (the job was
    cancelled, deleted, or taken over) or when no beat has got through for as long as it lasts.
    """

    def __init__(
        self,
        catalog: Catalog,
        job: Job,
        lease_s: float,
        clock: Clock,
        stopping: threading.Event,
        on_stage: Callable[[str], None],
        must_make_way: Callable[[], bool],
    ) -> None:
        """`on_stage` is called with the stage of each report.

        must_make_way : whether others have to go first now; the job then stops as for a worker's
            end
        """
        if job.lease_token is None:
            raise ValueError(f"job {job.id} has no lease")
        self.token = job.lease_token
        self._catalog = catalog
        self._job = job
        self._lease_s = lease_s
        self._clock = clock
        self._stopping = stopping
        self._on_stage = on_stage
        self._must_make_way = must_make_way
        self._news = JobProgress("probe", 0.0)
        self._lost = threading.Event()
        self._ended = threading.Event()
        here = copy_context()  # what it logs is logged for the job, too
        self._thread = threading.Thread(
            target=here.run, args=(self._run,), name="lease", daemon=True
        )

    @property
    def lost(self) -> bool:
        """Whether the job's result is no longer wanted."""
        return self._lost.is_set()

    def should_stop(self) -> bool:
        """Whether the work must end now: the lease is lost, or it must make way, or all ends."""
        return self._lost.is_set() or self._stopping.is_set() or self._must_make_way()

    @property
    def share(self) -> float:
        """From 0 to 1: how much of the work is done, by the latest report."""
        return self._news.share

    def report(self, news: JobProgress) -> None:
        """What the next beat says."""
        self._on_stage(news.stage)
        self._news = news

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        last_kept = self._clock.monotonic()
        while not self._ended.wait(min(LONGEST_SILENCE_S, self._lease_s / 3)):
            try:
                kept = self._beat()
            except Exception:  # the database may be back at the next beat
                logger.exception("job %s: heartbeat failed", self._job.id)
                kept = self._clock.monotonic() - last_kept < self._lease_s
            else:
                last_kept = self._clock.monotonic()
            if not kept:
                self._lost.set()
                return

    def _beat(self) -> bool:
        news = self._news
        return self._catalog.heartbeat(
            self._job.id,
            self.token,
            stage=news.stage,
            progress=news.share,
            seconds=news.seconds,
            lease_s=self._lease_s,
        )
