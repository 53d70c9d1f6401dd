"""Segments in SQL: their times, embeddings and tensor references."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Column, Connection, Row, delete, insert, select

from app.catalog.errors import SegmentNotFound
from app.catalog.records import Collection, NewSegment, Segment, SegmentOfVideo, StoredSegment
from app.catalog.sql import changes, removals, tables, videos
from index.protocol import TensorReference

T = tables.segments
CHUNK = 500  # keys in one IN list

Embeddings = npt.NDArray[np.float32]


def replace(
    connection: Connection,
    collection: Collection,
    video_id: str,
    new: Sequence[tuple[str, NewSegment]],
    embeddings: Embeddings,
    now: datetime,
) -> None:
    """Give the video these segments (id, segment) and vectors instead of any it has.

    embeddings : float32, shape = (N, D), in the order of `new`
    """
    remove_all(connection, collection, video_id, now)
    connection.execute(insert(T), [_values(collection.name, video_id, *pair) for pair in new])
    numbered = select(T.c.position, T.c.row).where(T.c.video_id == video_id)
    row_at = {row.position: int(row.row) for row in connection.execute(numbered)}
    rows = [row_at[segment.position] for _, segment in new]
    changes.put_vectors(connection, rows, embeddings)
    changes.record(connection, collection.id, "add", rows)


def remove_all(
    connection: Connection, collection: Collection, video_id: str, now: datetime
) -> list[int]:
    """Delete the segments of a video, note each as a change and their tensors for removal.

    Returns the ids of the removals.
    """
    of_it = T.c.video_id == video_id
    queued = removals.queue_tensors(connection, of_it, now)
    rows = connection.execute(select(T.c.row).where(of_it).order_by(T.c.row)).scalars().all()
    connection.execute(delete(T).where(of_it))
    changes.record(connection, collection.id, "remove", rows)
    return queued


def of_video(connection: Connection, video_id: str) -> list[Segment]:
    """The video's segments in time order."""
    statement = select(T).where(T.c.video_id == video_id).order_by(T.c.position)
    return [_segment(row) for row in connection.execute(statement)]


def stored(connection: Connection, video_id: str) -> list[StoredSegment]:
    """The video's segments in time order, with the bytes of their vectors."""
    vectors = tables.embeddings
    statement = (
        select(T, vectors.c.vector)
        .join_from(T, vectors, vectors.c.row == T.c.row, isouter=True)
        .where(T.c.video_id == video_id)
        .order_by(T.c.position)
    )
    return [StoredSegment(_segment(row), row.vector) for row in connection.execute(statement)]


def by_rows(connection: Connection, rows: Iterable[int]) -> list[SegmentOfVideo]:
    """The segments of these rows beside their videos, in the order given, missing ones left out."""
    wanted = [int(row) for row in rows]
    found = {each.segment.row: each for each in _with_videos(connection, T.c.row, wanted)}
    return [found[row] for row in wanted if row in found]


def video_of(connection: Connection, rows: Sequence[int]) -> dict[int, str]:
    """The video of each of these rows that is there."""
    found: dict[int, str] = {}
    for start in range(0, len(rows), CHUNK):
        some = T.c.row.in_([int(row) for row in rows[start : start + CHUNK]])
        pairs = connection.execute(select(T.c.row, T.c.video_id).where(some))
        found.update((row, video_id) for row, video_id in pairs)
    return found


def rows_by_video(
    connection: Connection, collection: str, video_ids: Sequence[str] | None
) -> dict[str, npt.NDArray[np.int64]]:
    """The rows of each video in time order, the newest video first; None means every video."""
    statement = select(T.c.video_id, T.c.row).where(T.c.collection == collection)
    if video_ids is not None:
        statement = statement.where(T.c.video_id.in_(video_ids))
    ordered = statement.order_by(T.c.video_id.desc(), T.c.position)
    grouped = groupby(connection.execute(ordered), key=itemgetter(0))
    return {
        video_id: np.fromiter(map(itemgetter(1), rows), dtype=np.int64)
        for video_id, rows in grouped
    }


def by_ids(connection: Connection, collection: str, ids: Sequence[str]) -> list[SegmentOfVideo]:
    """The collection's segments of these ids beside their videos, in the order given."""
    found = {each.segment.id: each for each in _with_videos(connection, T.c.id, ids)}
    for segment_id in ids:
        if segment_id not in found or found[segment_id].video.collection != collection:
            raise SegmentNotFound(f"no segment {segment_id!r} in collection {collection!r}")
    return [found[segment_id] for segment_id in ids]


def _with_videos(
    connection: Connection, key: Column[Any], keys: Sequence[Any]
) -> Iterator[SegmentOfVideo]:
    for start in range(0, len(keys), CHUNK):
        some = keys[start : start + CHUNK]
        found = [_segment(row) for row in connection.execute(select(T).where(key.in_(some)))]
        owners = videos.by_ids(connection, {segment.video_id for segment in found})
        for segment in found:
            # Beside another transaction's delete a segment may be read and its video not.
            if segment.video_id in owners:
                yield SegmentOfVideo(segment, owners[segment.video_id])


def _values(
    collection: str, video_id: str, segment_id: str, segment: NewSegment
) -> dict[str, object]:
    return {
        "id": segment_id,
        "collection": collection,
        "video_id": video_id,
        "position": segment.position,
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "tensor_file": segment.tensor.file,
        "tensor_offset": segment.tensor.offset,
        "tensor_length": segment.tensor.length,
        "tensor_crc32": segment.tensor.crc32,
    }


def _segment(row: Row[Any]) -> Segment:
    return Segment(
        id=row.id,
        row=row.row,
        video_id=row.video_id,
        position=row.position,
        start_s=row.start_s,
        end_s=row.end_s,
        tensor=TensorReference(
            row.tensor_file, row.tensor_offset, row.tensor_length, row.tensor_crc32
        ),
    )
