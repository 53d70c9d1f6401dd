"""Invariants: each kind of row that does not fit the others is found, and named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, delete, insert, update

from app.catalog.records import Collection, NewSegment, VideoFacts
from app.catalog.sql import changes, invariants, jobs, segments, tables, videos
from index import TensorReference
from tests.app.catalog.sql.rows import NOW, put_collection, put_segments, put_video

FACTS = VideoFacts("mp4", "h264", 1, 1, 10.0)
VIDEOS, JOBS, SEGMENTS = tables.videos, tables.jobs, tables.segments

Break = Callable[[Connection, Collection], None]


@pytest.fixture
def sound(connection: Connection) -> Collection:
    """A library of one ready video, one that waits and one that has failed; another is empty."""
    collection = put_collection(connection)
    put_collection(connection, "other")
    for name, job in (("vid_ready", "job_done"), ("vid_waits", "job_waits"), ("vid_bad", "job_x")):
        put_video(connection, name)
        jobs.put(connection, job, "default", name, NOW)
        videos.set_processing(connection, name, job)
    put_segments(connection, collection, "vid_ready", 3)
    videos.set_ready(connection, "vid_ready", FACTS)
    jobs.succeed(connection, jobs.get(connection, "job_done"), 10.0, NOW)
    jobs.fail(connection, jobs.get(connection, "job_x"), "oh", "Oh.", NOW)
    return collection


def found(connection: Connection) -> set[tuple[str, str | None]]:
    """What is said to be wrong, and of which video."""
    return {(one.subject, one.video_id) for one in invariants.broken(connection)}


def test_a_sound_library_has_no_findings(connection: Connection, sound: Collection) -> None:
    """Videos of every status and a collection without any."""
    assert invariants.broken(connection) == []


def set_video(name: str, **values: object) -> Break:
    return lambda connection, _: connection.execute(
        update(VIDEOS).where(VIDEOS.c.id == name).values(**values)
    )


def set_job(name: str, **values: object) -> Break:
    return lambda connection, _: connection.execute(
        update(JOBS).where(JOBS.c.id == name).values(**values)
    )


def set_segment(at: int, **values: object) -> Break:
    return lambda connection, _: connection.execute(
        update(SEGMENTS).where(SEGMENTS.c.position == at).values(**values)
    )


def drop_segment(position: int) -> Break:
    def broken(connection: Connection, collection: Collection) -> None:
        (row,) = [
            one.row
            for one in segments.of_video(connection, "vid_ready")
            if one.position == position
        ]
        connection.execute(delete(SEGMENTS).where(SEGMENTS.c.row == row))
        changes.record(connection, collection.id, "remove", [row])

    return broken


def segment_of_waiting(connection: Connection, collection: Collection) -> None:
    """A half-made ingest."""
    put_segments(connection, collection, "vid_waits", 1, offset=1000)


def forget_change(connection: Connection, collection: Collection) -> None:
    """The newest change of the collection, whose number is not given back."""
    connection.execute(
        delete(tables.changes).where(
            tables.changes.c.collection_id == collection.id, tables.changes.c.sequence == 3
        )
    )


def repeat_change(connection: Connection, collection: Collection) -> None:
    changes.record(connection, collection.id, "add", [1])


def move_sequence(connection: Connection, collection: Collection) -> None:
    connection.execute(
        update(tables.collections)
        .where(tables.collections.c.id == collection.id)
        .values(sequence=2)
    )


def stray_segment(connection: Connection, collection: Collection) -> None:
    """Beyond the changes, as a lost write to the log would leave it."""
    new = NewSegment(3, 7.5, 12.5, TensorReference("t", 30, 10, 0))
    connection.execute(
        insert(SEGMENTS).values(
            id="seg_stray",
            collection="default",
            video_id="vid_ready",
            position=new.position,
            start_s=new.start_s,
            end_s=new.end_s,
            tensor_file=new.tensor.file,
            tensor_offset=new.tensor.offset,
            tensor_length=new.tensor.length,
            tensor_crc32=new.tensor.crc32,
        )
    )


READY, WAITS, BAD = ("vid_ready",) * 2, ("vid_waits",) * 2, ("vid_bad",) * 2
JOB_WAITS, DEFAULT = ("job_waits", None), ("default", None)


BROKEN: dict[str, tuple[Break, set[tuple[str, str | None]]]] = {
    "its job has ended": (set_job("job_waits", status="failed"), {WAITS}),
    "no job": (set_video("vid_waits", job_id="job_none"), {WAITS, JOB_WAITS}),
    "nobody works on it": (set_video("vid_bad", status="processing"), {BAD}),
    "given up": (set_video("vid_waits", status="failed"), {JOB_WAITS}),
    "no video": (set_job("job_waits", video_id="vid_none"), {JOB_WAITS}),
    "still running": (set_job("job_x", status="running"), {("job_x", None)}),
    "ready without segments": (set_video("vid_bad", status="ready"), {BAD}),
    "failed with segments": (set_video("vid_ready", status="failed"), {READY}),
    "processing with segments": (segment_of_waiting, {WAITS}),
    "the first is missing": (drop_segment(0), {READY}),
    "one in between is missing": (drop_segment(1), {READY}),
    "before the first": (set_segment(0, position=-1), {READY}),
    "a gap": (set_segment(2, position=7), {READY}),
    "a change is missing": (forget_change, {DEFAULT}),
    "a change too many": (repeat_change, {DEFAULT}),
    "the sequence went back": (move_sequence, {DEFAULT}),
    "a segment that was never added": (stray_segment, {DEFAULT}),
    "elsewhere": (set_segment(2, collection="other"), {READY, DEFAULT, ("other", None)}),
}


def test_what_does_not_fit_is_found(connection: Connection, sound: Collection) -> None:
    """Exactly the rows that are wrong, and none of those beside them."""
    said = {}
    for name, (broken, _) in BROKEN.items():
        before = connection.begin_nested()
        broken(connection, sound)
        said[name] = found(connection)
        before.rollback()
    assert said == {name: expected for name, (_, expected) in BROKEN.items()}


def test_a_rebuild_under_way_is_sound(connection: Connection, sound: Collection) -> None:
    """A ready video may have a job that waits or runs, beside the segments that it replaces."""
    jobs.put(connection, "job_again", "default", "vid_ready", NOW)
    videos.set_processing(connection, "vid_ready", "job_again")
    assert invariants.broken(connection) == []


def test_the_end_of_a_video_may_be_missing(connection: Connection, sound: Collection) -> None:
    """Nothing in the rows says how many segments it should have, so this is no finding."""
    drop_segment(2)(connection, sound)
    assert invariants.broken(connection) == []
