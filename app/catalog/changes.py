"""Vectors in SQL and the log that an index follows: what was added and removed, in commit order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, and_, insert, or_, select

from app.catalog import collections, tables
from app.catalog.records import Change, ChangeKind, VectorBatch

T = tables.changes
VECTORS = tables.embeddings
SEGMENTS = tables.segments
CHUNK = 500  # keys in one IN list
STORED = np.dtype("<f4")  # the same bytes on every machine


def put_vectors(
    connection: Connection, rows: Sequence[int], embeddings: npt.NDArray[np.float32]
) -> None:
    """Keep one vector for each segment row.

    embeddings : float32, shape = (N, D)
    """
    blobs = np.ascontiguousarray(embeddings, dtype=STORED)
    values = [
        {"row": row, "vector": vector.tobytes()} for row, vector in zip(rows, blobs, strict=True)
    ]
    connection.execute(insert(VECTORS), values)


def record(
    connection: Connection, collection_id: str, kind: ChangeKind, rows: Sequence[int]
) -> None:
    """Write one change for each row, numbered on from the collection's sequence."""
    if not rows:
        return
    first = collections.advance(connection, collection_id, len(rows))
    values = [
        {"collection_id": collection_id, "sequence": number, "kind": kind, "row": row}
        for number, row in enumerate(rows, start=first)
    ]
    connection.execute(insert(T), values)


def since(connection: Connection, collection_id: str, sequence: int, limit: int) -> list[Change]:
    """Up to `limit` changes after `sequence`, ascending.

    Additions of rows that are gone are left out: their removal has a higher number.
    """
    present = or_(T.c.kind == "remove", VECTORS.c.vector.is_not(None))
    statement = (
        select(T.c.sequence, T.c.kind, T.c.row, VECTORS.c.vector)
        .join_from(T, VECTORS, and_(T.c.kind == "add", VECTORS.c.row == T.c.row), isouter=True)
        .where(T.c.collection_id == collection_id, T.c.sequence > sequence, present)
        .order_by(T.c.sequence)
        .limit(limit)
    )
    return [_change(*row) for row in connection.execute(statement)]


def vectors_after(
    connection: Connection, collection: str, row: int, dim: int, limit: int
) -> VectorBatch:
    """The collection's next vectors after that row, ascending by row; empty at the end."""
    statement = (
        select(SEGMENTS.c.row, VECTORS.c.vector)
        .join_from(SEGMENTS, VECTORS, VECTORS.c.row == SEGMENTS.c.row)
        .where(SEGMENTS.c.collection == collection, SEGMENTS.c.row > row)
        .order_by(SEGMENTS.c.row)
        .limit(limit)
    )
    found = connection.execute(statement).all()
    blob = b"".join(each.vector for each in found)
    return VectorBatch(
        rows=np.fromiter((each.row for each in found), dtype=np.int64, count=len(found)),
        vectors=np.frombuffer(blob, dtype=STORED).reshape(len(found), dim),
    )


def vectors_of(connection: Connection, rows: Sequence[int]) -> npt.NDArray[np.float32]:
    """The vectors of these rows, in the order given, missing ones left out; float32, (N, D)."""
    blobs: dict[int, bytes] = {}
    for start in range(0, len(rows), CHUNK):
        some = VECTORS.c.row.in_([int(row) for row in rows[start : start + CHUNK]])
        found = connection.execute(select(VECTORS.c.row, VECTORS.c.vector).where(some))
        blobs.update((row, blob) for row, blob in found)
    vectors = [np.frombuffer(blobs[row], dtype=STORED) for row in rows if row in blobs]
    return np.stack(vectors) if vectors else np.empty((0, 0), np.float32)


def _change(sequence: int, kind: str, row: int, blob: bytes | None) -> Change:
    vector = None if blob is None else np.frombuffer(blob, dtype=STORED)
    return Change(sequence, cast("ChangeKind", kind), row, vector)
