"""Ingest backlog: how many videos wait in the queue, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, func, or_, select

from app.catalog.sql import tables
from app.catalog.transactions import Transactions

T = tables.jobs
VIDEOS = tables.videos
_MEASURED: Final = 32


@dataclass(frozen=True, slots=True)
class Backlog:
    """The jobs that wait and that run; what the last ones took, None if none has succeeded yet.

    priced : of those that wait, how many a worker has looked at already
    priced_s : what these will take, together
    left_s : what each of those that run still takes
    """

    queued: int
    running: int
    seconds_per_job: float | None
    priced: int = 0
    priced_s: float = 0.0
    left_s: Sequence[float] = ()

    @property
    def wait_s(self) -> float:
        """As `wait_in`, with as many workers as run jobs now."""
        return self.wait_in(self.running)

    def wait_in(self, slots: int) -> float:
        """Seconds until all that is before a job queued now has been begun, and a slot is free.

        slots : how many jobs can run at once, at least; as many as run now always can

        What no worker has looked at takes as long as the last jobs did, or no time while nothing
        is known. Turns may let a job go before others, and a short one need not wait for long ones.
        """
        slots = max(1, slots, self.running)
        busy = sorted(self.left_s)
        free = [*[0.0] * (slots - len(busy)), *busy]
        work_s = self.priced_s + (self.queued - self.priced) * (self.seconds_per_job or 0.0)
        return _filled_at(free, work_s)


def _filled_at(free: Sequence[float], work_s: float) -> float:
    """When slots that get free at these times, ascending, have taken so much work."""
    before_s = 0.0
    for number, next_s in enumerate(free, start=1):
        before_s += next_s
        at_s = max(next_s, (work_s + before_s) / number)
        if number == len(free) or at_s <= free[number]:
            return at_s
    return 0.0


class Backlogs(Transactions):
    """What an upload has to know about those before it."""

    def backlog(self, owner: str | None = None) -> Backlog:
        """The state of the queue; not free: read it once a second, not for every upload.

        owner : only what this key sent is counted among the jobs that wait
        """
        with self._read() as connection:
            queued, priced, priced_s = connection.execute(_waiting(owner)).one()
            seconds = _seconds_per_job(connection)
            left = _left_s(connection, self._shared_now(connection), seconds)
        return Backlog(
            queued=queued,
            running=len(left),
            seconds_per_job=seconds,
            priced=priced,
            priced_s=priced_s or 0.0,
            left_s=tuple(left),
        )

    def failed_bytes(self, owner: str) -> int:
        """The bytes of videos that the key sent and whose ingest failed or was canceled."""
        ended = and_(T.c.status.in_(("failed", "canceled")), T.c.owner == owner)
        failed = and_(ended, VIDEOS.c.status == "failed")
        query = select(func.coalesce(func.sum(VIDEOS.c.size_bytes), 0)).join_from(
            T, VIDEOS, VIDEOS.c.job_id == T.c.id
        )
        with self._read() as connection:
            return int(connection.execute(query.where(failed)).scalar_one())

    def due_since(self) -> datetime | None:
        """Since when the job that has waited longest could have been begun; None if none waits."""
        since = func.coalesce(T.c.not_before, T.c.created_at)
        with self._read() as connection:
            now = self._shared_now(connection)
            due = T.c.status == "queued", or_(T.c.not_before.is_(None), T.c.not_before <= now)
            query = select(since).where(*due).order_by(since).limit(1)
            found: datetime | None = connection.execute(query).scalar_one_or_none()
        return found


def _waiting(owner: str | None) -> Any:
    """How many wait, how many of them are priced, and those prices together."""
    counted = select(func.count(), func.count(T.c.price_s), func.sum(T.c.price_s))
    waiting = counted.where(T.c.status == "queued")
    return waiting if owner is None else waiting.where(T.c.owner == owner)


def _seconds_per_job(connection: Connection) -> float | None:
    times = (
        select(T.c.started_at, T.c.finished_at)
        .where(T.c.status == "succeeded")
        .order_by(T.c.id.desc())
        .limit(_MEASURED)
    )
    taken = [
        (finished - started).total_seconds()
        for started, finished in connection.execute(times)
        if started is not None and finished is not None
        if started <= finished  # else the clock was set back, unseen by its worker
    ]
    return sum(taken) / len(taken) if taken else None


def _left_s(connection: Connection, now: datetime, usual_s: float | None) -> list[float]:
    """What each running job still takes: by its progress, else by its price, else as usual.

    After the clock was set, its worker's next heartbeat corrects when it began.
    """
    running = select(T.c.started_at, T.c.progress, T.c.price_s).where(T.c.status == "running")
    left = []
    for started, progress, price_s in connection.execute(running):
        spent_s = 0.0 if started is None else max(0.0, (now - started).total_seconds())
        if progress > 0:
            left.append(spent_s * (1 - progress) / progress)
        else:
            left.append(max(0.0, (usual_s or 0.0 if price_s is None else price_s) - spent_s))
    return left
