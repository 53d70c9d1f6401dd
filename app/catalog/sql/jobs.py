"""Jobs in SQL: each is held by one worker at a time under a lease that expires.

Every change of a row adds one to its `revision`, so that followers know what they have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    case,
    false,
    insert,
    or_,
    select,
    update,
)

from app.catalog.errors import JobNotFound, LeaseLost
from app.catalog.records import Job, JobStatus, RecordPage
from app.catalog.sql import tables, turns, videos
from app.catalog.sql.pages import fetch_page

T = tables.jobs
EXHAUSTED = "attempts_exhausted"
NO_LEASE = {"lease_owner": None, "lease_token": None, "lease_expires_at": None}
NOTHING_DONE = {"stage": None, "progress": 0.0, "seconds_done": None, "seconds_total": None}
CHANGED = {"revision": T.c.revision + 1}

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0
_ENOUGH_DOUBLINGS = 16
PAUSING_SEEN = 100


def pause_s(attempts: int, entropy: Callable[[int], bytes]) -> float:
    """Seconds to wait after that many attempts: each time twice as long, up to a limit.

    Up to half of it is taken off at random, so that jobs which failed together, because something
    they share was away, do not all come back together.
    """
    whole = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempts - 1, _ENOUGH_DOUBLINGS))
    share = int.from_bytes(entropy(4), "big") / 2**32
    return whole * (1 - share / 2)


def put(
    connection: Connection,
    job_id: str,
    collection: str,
    video_id: str,
    now: datetime,
    owner: str = "",
) -> None:
    """Queue an ingest of the video for the key `owner`; without one, for the service itself."""
    connection.execute(
        insert(T).values(
            id=job_id,
            kind="ingest",
            collection=collection,
            video_id=video_id,
            status="queued",
            progress=0.0,
            attempts=0,
            revision=0,
            created_at=now,
            owner=owner,
        )
    )


def get(connection: Connection, job_id: str, *, lock: bool = False) -> Job:
    """The job of that id. `lock` makes other writers of it wait for this transaction."""
    statement = select(T).where(T.c.id == job_id)
    row = connection.execute(statement.with_for_update() if lock else statement).mappings().first()
    if row is None:
        raise JobNotFound(f"no job {job_id!r}")
    return _job(row)


def held(connection: Connection, job_id: str, lease_token: str, ended: JobStatus) -> Job:
    """The job, locked, if it runs under that lease, or ended as requested under that lease.

    Raises LeaseLost otherwise. An expired lease that no other worker has taken over still holds.
    """
    job = get(connection, job_id, lock=True)
    if job.lease_token != lease_token or job.status not in ("running", ended):
        raise LeaseLost(f"job {job_id!r} is {job.status} and not held under this lease")
    return job


def page(
    connection: Connection,
    status: JobStatus | None,
    collection: str | None,
    cursor: str | None,
    limit: int,
) -> RecordPage[Job]:
    """Jobs, the newest first."""
    statement = select(T)
    if status is not None:
        statement = statement.where(T.c.status == status)
    if collection is not None:
        statement = statement.where(T.c.collection == collection)
    return fetch_page(connection, statement, T.c.id, _job, cursor=cursor, limit=limit)


def in_doubt(connection: Connection) -> list[Job]:
    """The jobs that run, and those that pause: whether that is over is not written in their rows.

    Of those that pause the first to be due, if there are very many.
    """
    running = select(T).where(T.c.status == "running").order_by(T.c.id)
    pausing = select(T).where(T.c.status == "queued", T.c.not_before.is_not(None))
    found = [
        *connection.execute(running).mappings(),
        *connection.execute(pausing.order_by(T.c.not_before).limit(PAUSING_SEEN)).mappings(),
    ]
    return [_job(row) for row in found]


def any_claimable(connection: Connection, over: Sequence[Job], longest_s: float | None) -> bool:
    """Whether a claim would find something to do: a question that takes no write lock."""
    found = select(T.c.id).where(or_(_due(over, longest_s), _abandoned(over))).limit(1)
    return connection.execute(found).first() is not None


def next_abandoned(connection: Connection, over: Sequence[Job]) -> Job | None:
    """The oldest of the running jobs in `over` that is still as there, locked.

    Rows that another transaction has locked are passed over.
    """
    statement = select(T).where(_abandoned(over)).order_by(T.c.id).limit(1)
    row = connection.execute(statement.with_for_update(skip_locked=True)).mappings().first()
    return None if row is None else _job(row)


def next_in_turn(
    connection: Connection, over: Sequence[Job], now: datetime, longest_s: float | None
) -> Job | None:
    """Of the jobs that wait for nothing, or are still as one of `over`, the next one: see `turns`.

    It is locked. longest_s : jobs with a higher price are left out
    """
    due = _due(over, longest_s)
    while (choice := turns.choose(connection, due, now)) is not None:
        job = get(connection, choice.job_id, lock=True)
        if job.status == "queued":  # and was not canceled until now
            turns.note(connection, choice)
            return job
    return None


def _due(over: Sequence[Job], longest_s: float | None) -> ColumnElement[bool]:
    rested = [_unchanged(job) for job in over if job.status == "queued"]
    due = and_(T.c.status == "queued", or_(T.c.not_before.is_(None), *rested))
    if longest_s is None:
        return due
    return and_(due, or_(T.c.price_s.is_(None), T.c.price_s <= longest_s))


def _abandoned(over: Sequence[Job]) -> ColumnElement[bool]:
    return or_(false(), *(_unchanged(job) for job in over if job.status == "running"))


def set_price(connection: Connection, job_id: str, lease_token: str, price_s: float) -> bool:
    """Note what the ingest will take; False when the lease no longer holds."""
    mine = (T.c.id == job_id) & (T.c.lease_token == lease_token) & (T.c.status == "running")
    values = {"price_s": price_s, **CHANGED}
    return connection.execute(update(T).where(mine).values(**values)).rowcount == 1


def start(
    connection: Connection, job: Job, owner: str, token: str, now: datetime, expires: datetime
) -> None:
    """Hand the job to a worker."""
    _set(
        connection,
        job.id,
        status="running",
        **NOTHING_DONE,
        attempts=job.attempts + 1,
        started_at=now,
        not_before=None,
        lease_owner=owner,
        lease_token=token,
        lease_expires_at=expires,
    )


def beat(
    connection: Connection,
    job_id: str,
    lease_token: str,
    stage: str,
    progress: float,
    seconds: tuple[float, float] | tuple[None, None],
    expires: datetime,
) -> bool:
    """Prolong the lease and note how far the work is; False when the lease no longer holds.

    seconds : of the video, those done and all of them
    """
    mine = (T.c.id == job_id) & (T.c.lease_token == lease_token) & (T.c.status == "running")
    news = {
        "stage": stage,
        "progress": progress,
        "seconds_done": seconds[0],
        "seconds_total": seconds[1],
    }
    is_news = or_(*(T.c[name].is_distinct_from(value) for name, value in news.items()))
    revision = case((is_news, T.c.revision + 1), else_=T.c.revision)
    values = {**news, "lease_expires_at": expires, "revision": revision}
    return connection.execute(update(T).where(mine).values(**values)).rowcount == 1


def correct_start(connection: Connection, job_id: str, lease_token: str, started: datetime) -> None:
    """Note when the attempt began by the clock as it is now set, if the lease still holds."""
    mine = (T.c.id == job_id) & (T.c.lease_token == lease_token) & (T.c.status == "running")
    connection.execute(update(T).where(mine).values(started_at=started, **CHANGED))


def succeed(connection: Connection, job: Job, duration_s: float, now: datetime) -> None:
    """The work is done. The token stays, so that a repeated call of the same worker succeeds."""
    turns.charge(connection, [job], now)
    _set(
        connection,
        job.id,
        status="succeeded",
        stage=None,
        progress=1.0,
        seconds_done=duration_s,
        seconds_total=duration_s,
        error_code=None,
        error_message=None,
        finished_at=now,
        searchable_at=now,
        lease_expires_at=None,
    )


def fail(connection: Connection, job: Job, code: str, message: str, now: datetime) -> None:
    """The job ends here, and its video is failed unless an earlier ingest stands."""
    turns.charge(connection, [job], now)
    _set(
        connection,
        job.id,
        status="failed",
        error_code=code,
        error_message=message,
        finished_at=now,
        lease_expires_at=None,
    )
    videos.set_failed(connection, job.video_id, code, message)


def queue_again(
    connection: Connection,
    job: Job,
    now: datetime,
    attempts: int,
    error: tuple[str, str] | tuple[None, None] = (None, None),
    not_before: datetime | None = None,
) -> None:
    """Let the next free worker have it, once `not_before` has come.

    `error` (code, message) stays visible until the job ends.
    """
    turns.charge(connection, [job], now)
    _set(
        connection,
        job.id,
        status="queued",
        **NOTHING_DONE,
        attempts=attempts,
        not_before=not_before,
        error_code=error[0],
        error_message=error[1],
        finished_at=None,
        **NO_LEASE,
    )


def _unchanged(job: Job) -> ColumnElement[bool]:
    """Whether no heartbeat, claim or end has come since the job was read."""
    return and_(
        T.c.id == job.id,
        T.c.status == job.status,
        T.c.lease_token == job.lease_token,
        T.c.lease_expires_at == job.lease_expires_at,
        T.c.not_before == job.not_before,
    )


def make_due(connection: Connection, job_id: str) -> None:
    """A free worker may claim it now."""
    _set(connection, job_id, not_before=None)


def cancel(connection: Connection, job: Job, now: datetime) -> None:
    """No worker may go on with it; the one that runs it learns so from its next heartbeat."""
    turns.charge(connection, [job], now)
    _set(connection, job.id, **_canceled(now))
    videos.set_failed(connection, job.video_id, "canceled", "The ingest was canceled.")


def cancel_where(connection: Connection, condition: Any, now: datetime) -> None:
    """Cancel every unfinished job that fits, because its video goes away."""
    running = select(T).where(T.c.status == "running", condition).with_for_update()
    ended = [_job(row) for row in connection.execute(running).mappings()]
    unfinished = T.c.status.in_(("queued", "running"))
    connection.execute(update(T).where(unfinished, condition).values(**_canceled(now), **CHANGED))
    turns.charge(connection, ended, now)


def _canceled(now: datetime) -> dict[str, object]:
    return {"status": "canceled", "stage": None, "not_before": None, "finished_at": now, **NO_LEASE}


def _set(connection: Connection, job_id: str, **values: object) -> None:
    connection.execute(update(T).where(T.c.id == job_id).values(**values, **CHANGED))


def _job(row: RowMapping) -> Job:
    return Job(**row)
