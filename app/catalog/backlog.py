"""Ingest backlog: how many videos wait in the queue, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from app.catalog.sql import tables
from app.catalog.transactions import Transactions

T = tables.jobs
_MEASURED: Final = 32


@dataclass(frozen=True, slots=True)
class Backlog:
    """The jobs that wait and that run; what the last ones took, None if none has succeeded yet."""

    queued: int
    running: int
    seconds_per_job: float | None

    @property
    def wait_s(self) -> float:
        """What a job that is queued now has to wait, if its kind and the workers stay as they are.

        Zero while nothing is known. As many jobs as run now are taken to run from now on.
        """
        return self.queued * (self.seconds_per_job or 0.0) / max(1, self.running)


class Backlogs(Transactions):
    """What an upload has to know about those before it."""

    def backlog(self) -> Backlog:
        """The state of the queue; not free: read it once a second, not for every upload."""
        with self._read() as connection:
            counted = select(T.c.status, func.count()).where(T.c.status.in_(("queued", "running")))
            counts = {row[0]: row[1] for row in connection.execute(counted.group_by(T.c.status))}
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
            ]
        return Backlog(
            queued=counts.get("queued", 0),
            running=counts.get("running", 0),
            seconds_per_job=sum(taken) / len(taken) if taken else None,
        )

    def due_since(self) -> datetime | None:
        """Since when the job that has waited longest could have been begun; None if none waits."""
        since = func.coalesce(T.c.not_before, T.c.created_at)
        with self._read() as connection:
            query = select(since).where(T.c.status == "queued").order_by(since).limit(1)
            found: datetime | None = connection.execute(query).scalar_one_or_none()
            now = self._shared_now(connection)
        return found if found is None or found <= now else None
