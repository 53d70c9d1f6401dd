"""Failure detection by heartbeats: tells which leases and pauses of jobs are over.

Each process decides by what it has seen, and by its own monotonic clock: a lease is over once no
heartbeat has changed the job's row for as long as a lease lasts. So no clock that is set, of this
machine or of the database's, ends the lease of a live worker or keeps that of a dead one. A process
that has just begun to look waits for a whole lease.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from app.catalog.records import Job
from app.catalog.sql.jobs import LONGEST_PAUSE_S

_ATTEMPTS_KNOWN = 256  # more than a process has at once
_CLOCK_SET_S = 1.0  # by less a clock drifts, or two of them differ
_ROUNDING_S = 1e-9  # who comes exactly at the end is not too early

_Mark = tuple[str | None, datetime | None, datetime | None]  # a heartbeat or a pause changes it


class LeaseWatch:
    """What one process has seen of jobs that run or pause; from any thread.

    monotonic : seconds that no one sets
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[_Mark, float]] = {}  # and when it is over
        self._begun: dict[str, tuple[datetime, float]] = {}  # by token: as written, and when

    def leased(self, job_id: str, token: str, expires: datetime, lease_s: float) -> None:
        """A worker of this process holds the job for `lease_s` seconds from now."""
        self._saw(job_id, (token, expires, None), lease_s)

    def begun(self, token: str, started: datetime) -> None:
        """A worker of this process has begun an attempt now, at `started` by the clock."""
        with self._lock:
            self._begun[token] = started, self._monotonic()
            while len(self._begun) > _ATTEMPTS_KNOWN:
                del self._begun[next(iter(self._begun))]

    def corrected_start(self, token: str, now: datetime) -> datetime | None:
        """When the attempt began by a clock that was set meanwhile and says `now`.

        None where the clock was not set, or where another process has begun the attempt.
        """
        with self._lock:
            if token not in self._begun:
                return None
            written, at = self._begun[token]
            started = now - timedelta(seconds=self._monotonic() - at)
            if abs((started - written).total_seconds()) < _CLOCK_SET_S:
                return None
            self._begun[token] = started, at
            return started

    def paused(self, job_id: str, due: datetime, wait_s: float) -> None:
        """This process has put the job off for `wait_s` seconds from now."""
        self._saw(job_id, (None, None, due), wait_s)

    def over(self, found: Iterable[Job], lease_s: float, now: datetime) -> list[Job]:
        """Those of `found`, all jobs that run or pause, whose lease or pause is over.

        lease_s : how long a lease lasts, of workers in other processes
        now : the time by the clock that pauses were written by, of use for new ones only
        """
        with self._lock:
            at = self._monotonic()
            before, self._seen = self._seen, {}
            ended = []
            for job in found:
                mark = _mark(job)
                seen = before.get(job.id)
                if seen is None or seen[0] != mark:
                    seen = mark, at + _left_s(job, lease_s, now)
                self._seen[job.id] = seen
                if at >= seen[1] - _ROUNDING_S:
                    ended.append(job)
            return ended

    def _saw(self, job_id: str, mark: _Mark, seconds: float) -> None:
        with self._lock:
            self._seen[job_id] = mark, self._monotonic() + seconds


def _mark(job: Job) -> _Mark:
    return job.lease_token, job.lease_expires_at, job.not_before


def _left_s(job: Job, lease_s: float, now: datetime) -> float:
    if job.not_before is None:
        return lease_s
    # A longer pause is never written: the clock was set back meanwhile.
    return min(LONGEST_PAUSE_S, (job.not_before - now).total_seconds())
