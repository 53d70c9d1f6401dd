"""Fair queueing in SQL: which queued job is next, and what each key and collection has received.

A row of `turns` is a clock: of all keys together (ALL), of a key (no collection), or of one of its
collections. Claims take their turns at the row of ALL. The others are locked after jobs, and a
key's before those of its collections.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, select, update

from app.catalog.fair_turns import Flow, Turn, charge_s, expected_s, joined, next_turn
from app.catalog.records import Job
from app.catalog.sql import tables

JOBS = tables.jobs
T = tables.turns
ALL: Final = "*"  # no id of a key
KEY: Final = ""  # no name of a collection


@dataclass(frozen=True, slots=True)
class Choice:
    """The job whose turn it is, and what the clocks of its key and its collection are to show."""

    job_id: str
    key: Turn
    collection: Turn


def choose(connection: Connection, due: ColumnElement[bool], now: datetime) -> Choice | None:
    """Of the jobs that are `due`, the one whose turn it is; None if there are none.

    Until the transaction ends, other claims wait.
    """
    connection.execute(select(T.c.owner).where(_row(ALL, KEY)).with_for_update())
    flows = _flows(connection, due, now)
    if not flows:
        return None
    clocks = _clocks(connection, flows)
    keys = {
        owner: joined(of_key.values(), clocks[owner, KEY][0]) for owner, of_key in flows.items()
    }
    key = next_turn(keys, clocks[ALL, KEY][1])
    of_key = {
        name: Flow(flow.first, clocks[key.name, name][0], flow.running_s)
        for name, flow in flows[key.name].items()
    }
    collection = next_turn(of_key, clocks[key.name, KEY][1])
    return Choice(of_key[collection.name].first, key, collection)


def note(connection: Connection, choice: Choice) -> None:
    """Set the clocks as the choice says: its job is begun."""
    key, collection = choice.key, choice.collection
    _put(connection, ALL, KEY, 0.0, key.reached_s)
    _put(connection, key.name, KEY, key.served_s, collection.reached_s)
    _put(connection, key.name, collection.name, collection.served_s, 0.0)


def charge(connection: Connection, jobs: Iterable[Job], now: datetime) -> None:
    """Add what attempts have taken that end now to the clocks of their keys and collections."""
    taken: defaultdict[tuple[str, str], float] = defaultdict(float)
    for job in jobs:
        if job.status == "running" and job.started_at is not None:
            seconds = charge_s((now - job.started_at).total_seconds())
            taken[job.owner, KEY] += seconds
            taken[job.owner, job.collection] += seconds
    for (owner, collection), seconds in sorted(taken.items()):
        connection.execute(
            update(T).where(_row(owner, collection)).values(served_s=T.c.served_s + seconds)
        )


def forget(connection: Connection, collection: str) -> None:
    """Remove the clocks of a collection that is deleted."""
    connection.execute(delete(T).where(T.c.collection == collection))


def _flows(
    connection: Connection, due: ColumnElement[bool], now: datetime
) -> dict[str, dict[str, Flow]]:
    """Of each key with a job that is due its collections, without what they have received."""
    running: defaultdict[tuple[str, str], float] = defaultdict(float)
    for owner, collection, price_s, started in connection.execute(_running()):
        elapsed_s = 0.0 if started is None else (now - started).total_seconds()
        running[owner, collection] += expected_s(price_s, elapsed_s)
    first = (
        select(JOBS.c.owner, JOBS.c.collection, func.min(JOBS.c.id))
        .where(due)
        .group_by(JOBS.c.owner, JOBS.c.collection)
    )
    flows: defaultdict[str, dict[str, Flow]] = defaultdict(dict)
    for owner, collection, job_id in connection.execute(first):
        flows[owner][collection] = Flow(job_id, running_s=running[owner, collection])
    return flows


def _running() -> Select[Any]:
    columns = (JOBS.c.owner, JOBS.c.collection, JOBS.c.price_s, JOBS.c.started_at)
    return select(*columns).where(JOBS.c.status == "running")


def _clocks(
    connection: Connection, owners: Iterable[str]
) -> defaultdict[tuple[str, str], tuple[float, float]]:
    """(served_s, reached_s) of ALL, of these keys and of their collections; of new ones, zeros."""
    clocks: defaultdict[tuple[str, str], tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for row in connection.execute(select(T).where(T.c.owner.in_([ALL, *owners]))):
        clocks[row.owner, row.collection] = (row.served_s, row.reached_s)
    return clocks


def _put(
    connection: Connection, owner: str, collection: str, served_s: float, reached_s: float
) -> None:
    values = {"served_s": served_s, "reached_s": reached_s}
    row = _row(owner, collection)
    if connection.execute(update(T).where(row).values(**values)).rowcount == 0:
        connection.execute(insert(T).values(owner=owner, collection=collection, **values))


def _row(owner: str, collection: str) -> Any:
    return and_(T.c.owner == owner, T.c.collection == collection)
