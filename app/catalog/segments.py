"""Segments in SQL, and which of their rows a filter allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Column, Connection, Row, delete, insert, select

from app.catalog import changes, tables, videos
from app.catalog.errors import SegmentNotFound
from app.catalog.records import Collection, Filter, NewSegment, Segment, SegmentOfVideo
from app.catalog.terms import filter_terms, term
from index.protocol import TensorReference

T = tables.segments
TERMS = tables.metadata_terms
CHUNK = 500  # keys in one IN list

Embeddings = npt.NDArray[np.float32]


def replace(
    connection: Connection,
    collection: Collection,
    video_id: str,
    new: Sequence[tuple[str, NewSegment]],
    embeddings: Embeddings,
) -> None:
    """Give the video these segments (id, segment) and vectors in place of any it has.

    embeddings : float32, shape = (N, D), in the order of `new`
    """
    remove_all(connection, collection, video_id)
    connection.execute(insert(T), [_values(collection.name, video_id, *pair) for pair in new])
    numbered = select(T.c.position, T.c.row).where(T.c.video_id == video_id)
    row_at = {row.position: int(row.row) for row in connection.execute(numbered)}
    rows = [row_at[segment.position] for _, segment in new]
    changes.put_vectors(connection, rows, embeddings)
    changes.record(connection, collection.id, "add", rows)


def remove_all(connection: Connection, collection: Collection, video_id: str) -> None:
    """Delete the segments of a video and note every one as a change."""
    of_it = T.c.video_id == video_id
    rows = connection.execute(select(T.c.row).where(of_it).order_by(T.c.row)).scalars().all()
    connection.execute(delete(T).where(of_it))
    changes.record(connection, collection.id, "remove", rows)


def of_video(connection: Connection, video_id: str) -> list[Segment]:
    """The video's segments in time order."""
    statement = select(T).where(T.c.video_id == video_id).order_by(T.c.position)
    return [_segment(row) for row in connection.execute(statement)]


def by_rows(connection: Connection, rows: Iterable[int]) -> list[SegmentOfVideo]:
    """The segments of these rows beside their videos, in the order given, missing ones left out."""
    wanted = [int(row) for row in rows]
    found = {each.segment.row: each for each in _with_videos(connection, T.c.row, wanted)}
    return [found[row] for row in wanted if row in found]


def by_ids(connection: Connection, collection: str, ids: Sequence[str]) -> list[SegmentOfVideo]:
    """The collection's segments of these ids beside their videos, in the order given."""
    found = {each.segment.id: each for each in _with_videos(connection, T.c.id, ids)}
    for segment_id in ids:
        if segment_id not in found or found[segment_id].video.collection != collection:
            raise SegmentNotFound(f"no segment {segment_id!r} in collection {collection!r}")
    return [found[segment_id] for segment_id in ids]


def eligible_rows(
    connection: Connection, collection: str, wanted: Filter | None
) -> npt.NDArray[np.int64] | None:
    """The rows whose video fits every key of the filter, ascending; None when nothing is asked."""
    if not wanted:
        return None
    statement = select(T.c.row).where(T.c.collection == collection).order_by(T.c.row)
    for key, values in filter_terms(wanted):
        if key == "video_id":
            ids = [value for value in values if isinstance(value, str) and value.isascii()]
            statement = statement.where(T.c.video_id.in_(ids))
            continue
        fits = (TERMS.c.key == term(key)) & TERMS.c.term.in_([term(value) for value in values])
        statement = statement.where(T.c.video_id.in_(select(TERMS.c.video_id).where(fits)))
    return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)


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
