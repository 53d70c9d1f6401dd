"""Invariants between rows, checked in one transaction."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from app.catalog.records import Inconsistency
from app.catalog.sql import tables

VIDEOS = tables.videos
JOBS = tables.jobs
SEGMENTS = tables.segments
COLLECTIONS = tables.collections
CHANGES = tables.changes


def broken(connection: Connection) -> list[Inconsistency]:
    """Everything that does not hold."""
    return [
        *_videos_without_their_job(connection),
        *_jobs_without_their_video(connection),
        *_segments_of_videos(connection),
        *_sequences(connection),
    ]


def damaged_file(connection: Connection) -> list[str]:
    """What SQLite finds wrong with its own file, and rows that point at none."""
    if connection.dialect.name != "sqlite":
        return []
    found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    sentences = [str(each) for each in found if each != "ok"]
    return sentences + [
        f"row {row[1]} of {row[0]} points at a {row[2]} row that is not there" for row in orphans
    ]


def _videos_without_their_job(connection: Connection) -> Iterator[Inconsistency]:
    """A video in work has a job that will end it."""
    alive = JOBS.c.status.in_(("queued", "running"))
    statement = (
        select(VIDEOS.c.id)
        .join_from(VIDEOS, JOBS, and_(JOBS.c.id == VIDEOS.c.job_id, alive), isouter=True)
        .where(VIDEOS.c.status == "processing", JOBS.c.id.is_(None))
    )
    for video_id in connection.execute(statement).scalars():
        yield Inconsistency(video_id, "is processing, but no job of it waits or runs", video_id)


def _jobs_without_their_video(connection: Connection) -> Iterator[Inconsistency]:
    """A job that waits or runs is the latest of a video that is there and has not failed."""
    its_video = and_(
        VIDEOS.c.id == JOBS.c.video_id, VIDEOS.c.job_id == JOBS.c.id, VIDEOS.c.status != "failed"
    )
    statement = (
        select(JOBS.c.id, JOBS.c.status)
        .join_from(JOBS, VIDEOS, its_video, isouter=True)
        .where(JOBS.c.status.in_(("queued", "running")), VIDEOS.c.id.is_(None))
    )
    for job_id, status in connection.execute(statement):
        yield Inconsistency(job_id, f"is {status}, but no video waits for it")


def _segments_of_videos(connection: Connection) -> Iterator[Inconsistency]:
    """A ready video has the segments 0, 1, … in its own collection; another has none."""
    count = func.count(SEGMENTS.c.row)
    elsewhere = func.count().filter(SEGMENTS.c.collection != VIDEOS.c.collection)
    whole = and_(
        count > 0, func.min(SEGMENTS.c.position) == 0, func.max(SEGMENTS.c.position) == count - 1
    )
    statement = (
        select(VIDEOS.c.id, VIDEOS.c.status, count)
        .join_from(VIDEOS, SEGMENTS, SEGMENTS.c.video_id == VIDEOS.c.id, isouter=True)
        .group_by(VIDEOS.c.id, VIDEOS.c.status)
        .having(or_(_differs(VIDEOS.c.status == "ready", whole, count), elsewhere > 0))
    )
    for video_id, status, segments in connection.execute(statement):
        message = f"is {status}, but has {segments} segments that do not fit that"
        yield Inconsistency(video_id, message, video_id)


def _differs(
    ready: ColumnElement[bool], whole: ColumnElement[bool], count: ColumnElement[int]
) -> ColumnElement[bool]:
    return or_(and_(ready, ~whole), and_(~ready, count > 0))


def _sequences(connection: Connection) -> Iterator[Inconsistency]:
    """A collection's changes are numbered 1, 2, … and add up to its segments."""
    added = func.count().filter(CHANGES.c.kind == "add")
    removed = func.count().filter(CHANGES.c.kind == "remove")
    changes = (
        select(
            CHANGES.c.collection_id,
            func.count().label("count"),
            func.max(CHANGES.c.sequence).label("last"),
            (added - removed).label("left"),
        )
        .group_by(CHANGES.c.collection_id)
        .subquery()
    )
    segments = (
        select(SEGMENTS.c.collection, func.count().label("count"))
        .group_by(SEGMENTS.c.collection)
        .subquery()
    )
    statement = (
        select(
            COLLECTIONS.c.name,
            COLLECTIONS.c.sequence,
            func.coalesce(changes.c.count, 0),
            func.coalesce(changes.c.last, 0),
            func.coalesce(changes.c.left, 0),
            func.coalesce(segments.c.count, 0),
        )
        .join_from(COLLECTIONS, changes, changes.c.collection_id == COLLECTIONS.c.id, isouter=True)
        .join(segments, segments.c.collection == COLLECTIONS.c.name, isouter=True)
    )
    for name, sequence, count, last, left, there in connection.execute(statement):
        if not sequence == count == last:
            message = f"is at change {sequence}, but its {count} changes end at {last}"
            yield Inconsistency(name, message)
        if left != there:
            yield Inconsistency(name, f"has {there} segments, but its changes leave {left}")
