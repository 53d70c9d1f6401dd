"""Change log and segments in SQL: vectors read back, damaged ones told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, update

from app.catalog.records import Collection
from app.catalog.sql import changes, segments, tables
from tests.app.catalog.sql.rows import DIM, NOW, put_collection, put_segments, put_video

VECTORS = tables.embeddings


@pytest.fixture
def collection(connection: Connection) -> Collection:
    made = put_collection(connection)
    put_video(connection, "vid_1")
    return made


def damage(connection: Connection, row: int, blob: bytes) -> None:
    connection.execute(update(VECTORS).where(VECTORS.c.row == row).values(vector=blob))


numbers = st.floats(-100, 100, width=32)


@given(st.lists(numbers, max_size=8))
def test_a_vector_is_read_back_from_its_bytes(values: list[float]) -> None:
    """Every float32 comes back to the bit, in little-endian order."""
    vector = np.array(values, "<f4")
    found = changes.read_vector(vector.tobytes(), len(values))
    assert found is not None
    assert found.tobytes() == vector.tobytes()


@given(st.binary(max_size=40), st.integers(1, 8))
def test_bytes_of_another_width_are_no_vector(blob: bytes, dim: int) -> None:
    """Half a vector is never padded or cut."""
    if len(blob) != 4 * dim:
        assert changes.read_vector(blob, dim) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_with_a_number_that_is_none_is_damaged(value: float) -> None:
    """One NaN would make every comparison with it false."""
    assert changes.read_vector(np.array([1, value], "<f4").tobytes(), 2) is None
    assert changes.read_vector(None, 2) is None


def test_changes_are_numbered_without_gaps(connection: Connection, collection: Collection) -> None:
    """An index can tell from the numbers that it has missed none."""
    changes.record(connection, collection.id, "remove", [5, 3])
    changes.record(connection, collection.id, "remove", [])
    changes.record(connection, collection.id, "remove", [9])
    found = changes.since(connection, collection.id, 0, DIM, 10)
    assert [(one.sequence, one.row) for one in found] == [(1, 5), (2, 3), (3, 9)]


@pytest.mark.parametrize("limit", [1, 3, 20])
@pytest.mark.parametrize("after", [0, 2, 7, 8])
def test_changes_after_a_number_are_a_slice_of_all(
    connection: Connection, collection: Collection, after: int, limit: int
) -> None:
    """An index that stops anywhere goes on from there."""
    changes.record(connection, collection.id, "remove", list(range(100, 108)))
    found = changes.since(connection, collection.id, after, DIM, limit)
    assert [one.row for one in found] == list(range(100, 108))[after : after + limit]


def test_additions_of_rows_that_are_gone_are_left_out(
    connection: Connection, collection: Collection
) -> None:
    """Only their removal is told, so that an index never asks for a vector that is not there."""
    rows = put_segments(connection, collection, "vid_1", 2)
    segments.remove_all(connection, collection, "vid_1", NOW)
    found = changes.since(connection, collection.id, 0, DIM, 10)
    assert [(one.sequence, one.kind, one.row) for one in found] == [
        (3, "remove", rows[0]),
        (4, "remove", rows[1]),
    ]


def test_damaged_vectors_are_told_apart(connection: Connection, collection: Collection) -> None:
    """Of four rows one is missing, one cut short, and one holds a NaN."""
    rows = put_segments(connection, collection, "vid_1", 4)
    connection.execute(delete(VECTORS).where(VECTORS.c.row == rows[0]))
    damage(connection, rows[1], b"short")
    damage(connection, rows[2], np.array([np.nan, 0], "<f4").tobytes())
    batch = changes.vectors_after(connection, "default", 0, DIM, 10)
    assert batch.rows.tolist() == [rows[3]]
    assert batch.vectors.tolist() == [[6.0, 7.0]]
    assert batch.damaged == tuple(rows[:3])
    assert batch.last_row == rows[3]
    found = changes.since(connection, collection.id, 0, DIM, 10)
    assert [one.vector is None for one in found] == [True, True, True, False]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_batches_join_to_all_vectors(
    connection: Connection, collection: Collection, limit: int
) -> None:
    """In batches of any size each row comes once; the batch after the last is empty."""
    rows = put_segments(connection, collection, "vid_1", 7)
    put_collection(connection, "other")
    found: list[int] = []
    batch = changes.vectors_after(connection, "default", 0, DIM, limit)
    while len(batch.rows):
        found += batch.rows.tolist()
        batch = changes.vectors_after(connection, "default", batch.last_row, DIM, limit)
    assert found == rows
    assert batch.last_row == rows[-1]


def test_vectors_of_rows_are_in_the_order_given(
    connection: Connection, collection: Collection
) -> None:
    """A row may be named twice; rows that are missing or damaged are left out."""
    rows = put_segments(connection, collection, "vid_1", 4)
    damage(connection, rows[1], b"")
    named = [rows[3], 10**6, rows[0], rows[1], rows[3]]
    assert changes.vectors_of(connection, named).tolist() == [[6, 7], [0, 1], [6, 7]]
    assert changes.vectors_of(connection, [10**6]).shape == (0, 0)


def test_segments_are_replaced_as_a_whole(connection: Connection, collection: Collection) -> None:
    """A second ingest leaves none of the first one's rows, and queues their tensors."""
    old = put_segments(connection, collection, "vid_1", 3)
    new = put_segments(connection, collection, "vid_1", 2, offset=1_000)
    assert not set(old) & set(new)
    assert segments.video_of(connection, [*old, *new]) == dict.fromkeys(new, "vid_1")
    kinds = [one.kind for one in changes.since(connection, collection.id, 3, DIM, 10)]
    assert kinds == ["remove", "remove", "remove", "add", "add"]


def test_stored_segments_come_with_their_bytes(
    connection: Connection, collection: Collection
) -> None:
    """A segment whose vector is missing is listed, with None in its stead."""
    rows = put_segments(connection, collection, "vid_1", 2)
    connection.execute(delete(VECTORS).where(VECTORS.c.row == rows[1]))
    first, second = segments.stored(connection, "vid_1")
    assert first.vector == np.array([0, 1], "<f4").tobytes()
    assert second.vector is None
    assert [first.segment, second.segment] == segments.of_video(connection, "vid_1")
