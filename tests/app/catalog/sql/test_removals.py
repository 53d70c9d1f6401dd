"""Outbox of removals: what is queued is due until it is ended, and tensors are joined to runs."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, true

from app.catalog.records import PendingRemovals, TensorRun
from app.catalog.sql import removals, tables
from tests.app.catalog.sql.rows import NOW, at, put_collection, put_segments, put_video


def test_what_is_queued_is_due_in_its_order(connection: Connection) -> None:
    """The oldest comes first, and a list goes on after an id."""
    ids = removals.queue(connection, "content", [f"sha{n}" for n in range(5)], NOW)
    assert ids == sorted(ids)
    first = removals.after(connection, 0, 2)
    rest = removals.after(connection, first[-1].id, 10)
    assert [one.target for one in [*first, *rest]] == [f"sha{n}" for n in range(5)]
    assert {(one.kind, one.offset, one.length, one.created_at) for one in first} == {
        ("content", None, None, NOW)
    }


def test_what_is_done_is_due_no_more(connection: Connection) -> None:
    """Ending one that has ended already does nothing."""
    one, two, three = removals.queue(connection, "thumbnails", ["a", "b", "c"], NOW)
    for _ in range(2):
        removals.end(connection, [one, three])
        assert [each.id for each in removals.by_ids(connection, [one, two, three])] == [two]


def test_the_backlog_is_counted_and_dated(connection: Connection) -> None:
    """The age of the oldest says whether removals get stuck."""
    assert removals.pending(connection) == PendingRemovals(0, None)
    ids = removals.queue(connection, "content", ["a"], at(1))
    removals.queue(connection, "content", ["b"], at(2))
    assert removals.pending(connection) == PendingRemovals(2, at(1))
    removals.end(connection, ids)
    assert removals.pending(connection) == PendingRemovals(1, at(2))


def test_more_than_one_statement_takes_is_queued(connection: Connection) -> None:
    """A collection of a thousand videos is deleted in one transaction."""
    targets = [f"sha{n}" for n in range(removals.CHUNK * 2 + 3)]
    ids = removals.queue(connection, "content", targets, NOW)
    assert len(set(ids)) == len(targets)
    assert [one.target for one in removals.after(connection, 0, 10_000)] == targets


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sets(st.tuples(st.sampled_from("ab"), st.integers(0, 12)), max_size=14))
def test_runs_cover_the_bytes_of_the_tensors_and_no_others(
    connection: Connection, places: set[tuple[str, int]]
) -> None:
    """Tensors that adjoin are one run; a gap or another file begins a new one."""
    connection.execute(delete(tables.segments))
    connection.execute(delete(tables.collections))
    put_collection(connection)
    put_video(connection, "vid_1")
    if places:
        connection.execute(
            insert(tables.segments),
            [
                {
                    "id": f"seg_{number}",
                    "collection": "default",
                    "video_id": "vid_1",
                    "position": number,
                    "start_s": 0.0,
                    "end_s": 1.0,
                    "tensor_file": file,
                    "tensor_offset": 10 * block,
                    "tensor_length": 10,
                    "tensor_crc32": 0,
                }
                for number, (file, block) in enumerate(places)
            ],
        )
    runs = list(removals.tensor_runs(connection))
    covered = [
        (run.file, block)
        for run in runs
        for block in range(run.offset // 10, (run.offset + run.length) // 10)
    ]
    assert covered == sorted(places)
    starts = {(run.file, run.offset) for run in runs}
    assert not any((run.file, run.offset + run.length) in starts for run in runs)


def test_only_the_tensors_of_the_chosen_segments_are_queued(connection: Connection) -> None:
    """The bytes of a video that stays are not touched, although they adjoin."""
    collection = put_collection(connection)
    for number in range(2):
        put_video(connection, f"vid_{number}")
        put_segments(connection, collection, f"vid_{number}", 3, offset=30 * number)
    assert list(removals.tensor_runs(connection)) == [TensorRun("t", 0, 60)]
    chosen = tables.segments.c.video_id == "vid_1"
    (removal_id,) = removals.queue_tensors(connection, chosen, NOW)
    (removal,) = removals.by_ids(connection, [removal_id])
    assert (removal.kind, removal.target, removal.offset, removal.length) == ("tensor", "t", 30, 30)


@pytest.mark.parametrize("condition", [None, true()], ids=["all", "true"])
def test_no_segments_have_no_runs(connection: Connection, condition: None) -> None:
    """An empty catalog is no special case."""
    assert list(removals.tensor_runs(connection, condition)) == []
