"""Change log in SQL: vectors added and removed, in commit order, for an index to follow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import cast

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, and_, insert, or_, select

from app.catalog.records import Change, ChangeKind, VectorBatch
from app.catalog.sql import collections, tables
from index.checks import within_range

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


def since(
    connection: Connection, collection_id: str, sequence: int, dim: int, limit: int
) -> list[Change]:
    """Up to `limit` changes after `sequence`, ascending.

    Additions of rows that are gone are left out: their removal has a higher number.
    """
    present = or_(T.c.kind == "remove", SEGMENTS.c.row.is_not(None))
    statement = (
        select(T.c.sequence, T.c.kind, T.c.row, VECTORS.c.vector)
        .join_from(T, SEGMENTS, and_(T.c.kind == "add", SEGMENTS.c.row == T.c.row), isouter=True)
        .join(VECTORS, VECTORS.c.row == SEGMENTS.c.row, isouter=True)
        .where(T.c.collection_id == collection_id, T.c.sequence > sequence, present)
        .order_by(T.c.sequence)
        .limit(limit)
    )
    return [
        Change(number, cast("ChangeKind", kind), row, read_vector(blob, dim))
        for number, kind, row, blob in connection.execute(statement)
    ]


def vectors_after(
    connection: Connection, collection: str, row: int, dim: int, limit: int
) -> VectorBatch:
    """The collection's next vectors after that row, ascending by row; at the end none, and `row`.

    Rows without a vector, or with bytes that cannot be one, are returned separately.
    """
    statement = (
        select(SEGMENTS.c.row, VECTORS.c.vector)
        .join_from(SEGMENTS, VECTORS, VECTORS.c.row == SEGMENTS.c.row, isouter=True)
        .where(SEGMENTS.c.collection == collection, SEGMENTS.c.row > row)
        .order_by(SEGMENTS.c.row)
        .limit(limit)
    )
    with closing(connection.execute(statement)) as result:
        # the driver's own tuples: a row of SQLAlchemy's costs as much as reading it does
        found = result.cursor.fetchall()
    size = dim * STORED.itemsize
    whole = [(row, blob) for row, blob in found if blob is not None and len(blob) == size]
    rows = np.array([row for row, _ in whole], dtype=np.int64)
    blob = b"".join([blob for _, blob in whole])
    vectors = np.frombuffer(blob, dtype=STORED).reshape(len(whole), dim)
    if not within_range(vectors):
        sound = np.array([within_range(vector) for vector in vectors], np.bool_)
        rows, vectors = rows[sound], vectors[sound]
    damaged: set[int] = set()
    if len(rows) < len(found):
        damaged = {number for number, _ in found}.difference(rows.tolist())
    last_row = found[-1][0] if found else row
    return VectorBatch(rows, vectors, tuple(sorted(damaged)), last_row)


def read_vector(blob: bytes | None, dim: int) -> npt.NDArray[np.float32] | None:
    """The vector of that width in stored bytes, float32, (D,); None if they cannot be one."""
    if blob is None or len(blob) != dim * STORED.itemsize:
        return None
    vector = np.frombuffer(blob, dtype=STORED)
    return vector if within_range(vector) else None


def vectors_of(connection: Connection, rows: Sequence[int]) -> npt.NDArray[np.float32]:
    """The vectors of these rows, in the order given, float32, (N, D).

    Rows that are missing are left out, and those without bytes that can be a vector.
    """
    owners = tables.collections
    statement = (
        select(SEGMENTS.c.row, VECTORS.c.vector, owners.c.dim)
        .join_from(SEGMENTS, VECTORS, VECTORS.c.row == SEGMENTS.c.row)
        .join(owners, owners.c.name == SEGMENTS.c.collection)
    )
    found: dict[int, npt.NDArray[np.float32]] = {}
    for start in range(0, len(rows), CHUNK):
        some = SEGMENTS.c.row.in_([int(row) for row in rows[start : start + CHUNK]])
        for row, blob, dim in connection.execute(statement.where(some)):
            vector = read_vector(blob, dim)
            if vector is not None:
                found[row] = vector
    vectors = [found[row] for row in rows if row in found]
    return np.stack(vectors) if vectors else np.empty((0, 0), np.float32)
