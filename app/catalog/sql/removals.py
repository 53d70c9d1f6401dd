"""Outbox of removals in SQL: files that committed deletions still have to delete from disk.

They are written in the transaction that deletes the rows, so neither is ever there without the
other. Content is named whether or not another video holds the same bytes: that is looked at when it
is removed, under the lock that uploads take, and not in two deletions that cannot see each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from app.catalog.records import PendingRemovals, Removal, RemovalKind, TensorRun
from app.catalog.sql import tables

T = tables.removals
SEGMENTS = tables.segments
CHUNK = 500  # keys in one IN list, rows in one insert


def queue(
    connection: Connection, kind: RemovalKind, targets: Iterable[str], now: datetime
) -> list[int]:
    """Note what is to be removed as a whole; the ids of the notes."""
    return _put(connection, [_row(kind, target, None, None, now) for target in targets])


def queue_tensors(
    connection: Connection, segments: ColumnElement[bool], now: datetime
) -> list[int]:
    """Note the tensors of these segments, before their rows are deleted; the ids of the notes."""
    runs = tensor_runs(connection, segments)
    return _put(connection, [_row("tensor", r.file, r.offset, r.length, now) for r in runs])


def tensor_runs(
    connection: Connection, segments: ColumnElement[bool] | None = None
) -> Iterator[TensorRun]:
    """Where the tensors of these segments, or of all, lie; what adjoins is one run."""
    position = (SEGMENTS.c.tensor_file, SEGMENTS.c.tensor_offset, SEGMENTS.c.tensor_length)
    statement = select(*position).order_by(SEGMENTS.c.tensor_file, SEGMENTS.c.tensor_offset)
    if segments is not None:
        statement = statement.where(segments)
    run: TensorRun | None = None
    for file, offset, length in connection.execute(statement):
        if run is not None and (run.file, run.offset + run.length) == (file, offset):
            run = TensorRun(file, run.offset, run.length + length)
            continue
        if run is not None:
            yield run
        run = TensorRun(file, offset, length)
    if run is not None:
        yield run


def by_ids(connection: Connection, ids: Sequence[int]) -> list[Removal]:
    """Those of at most CHUNK removals that are still due."""
    rows = connection.execute(select(T).where(T.c.id.in_(ids)).order_by(T.c.id)).mappings()
    return [Removal(**row) for row in rows]


def after(connection: Connection, removal_id: int, limit: int) -> list[Removal]:
    """The next that are due after that one, the oldest first."""
    statement = select(T).where(T.c.id > removal_id).order_by(T.c.id).limit(limit)
    return [Removal(**row) for row in connection.execute(statement).mappings()]


def end(connection: Connection, ids: Sequence[int]) -> None:
    """Forget at most CHUNK removals that are done."""
    connection.execute(delete(T).where(T.c.id.in_(ids)))


def pending(connection: Connection) -> PendingRemovals:
    """How many are due, and since when the oldest is."""
    count = connection.execute(select(func.count()).select_from(T)).scalar_one()
    oldest = connection.execute(select(T.c.created_at).order_by(T.c.id).limit(1)).scalar()
    return PendingRemovals(int(count), oldest)


def _row(
    kind: RemovalKind, target: str, offset: int | None, length: int | None, now: datetime
) -> dict[str, object]:
    return {"kind": kind, "target": target, "offset": offset, "length": length, "created_at": now}


def _put(connection: Connection, rows: Sequence[dict[str, object]]) -> list[int]:
    ids: list[int] = []
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        ids += connection.execute(insert(T).returning(T.c.id), some).scalars()
    return ids
