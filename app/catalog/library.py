"""Library: collections, videos and segments in the catalog, and the changes to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from app.catalog.filters import Condition
from app.catalog.metadata_terms import check_metadata
from app.catalog.records import (
    Change,
    Collection,
    LabelSet,
    LabelSetListing,
    Metadata,
    RecordPage,
    Segment,
    SegmentOfVideo,
    VectorBatch,
    Video,
    VideoStatus,
)
from app.catalog.sql import (
    changes,
    collections,
    filter_clauses,
    jobs,
    label_sets,
    removals,
    segments,
    tables,
    turns,
    videos,
)
from app.catalog.transactions import Transactions

NO_METADATA: Metadata = {}
LOADED_AT_ONCE = 8000


class LibraryCatalog(Transactions):
    """What is in the library. Methods that name a collection raise CollectionNotFound."""

    def create_collection(
        self,
        name: str,
        *,
        model: str,
        window_s: float,
        stride_s: float,
        metadata: Metadata = NO_METADATA,
    ) -> tuple[Collection, bool]:
        """The collection of that name, and whether this call made it.

        One that exists is returned as it is: whether it is the one wanted is for the caller to
        see. Raises InvalidMetadata.
        """
        check_metadata(metadata)
        fresh = Collection(
            id=self._new_id("col"),
            name=name,
            model=model,
            fingerprint=None,
            dim=None,
            window_s=window_s,
            stride_s=stride_s,
            metadata=metadata,
            sequence=0,
            created_at=self._now(),
        )
        try:
            with self._write() as connection:
                collections.put(connection, fresh)
        except IntegrityError:
            return self.get_collection(name), False
        return fresh, True

    def get_collection(self, name: str) -> Collection:
        """The collection of that name."""
        with self._read() as connection:
            return collections.get(connection, name)

    def list_collections(
        self, cursor: str | None = None, limit: int = 100
    ) -> RecordPage[Collection]:
        """Collections by name. Raises InvalidCursor."""
        with self._read() as connection:
            return collections.page(connection, cursor, limit)

    def update_collection_metadata(self, name: str, metadata: Metadata) -> Collection:
        """Replace a collection's metadata. Raises InvalidMetadata."""
        check_metadata(metadata)
        with self._write() as connection:
            collections.set_metadata(connection, name, metadata)
            return collections.get(connection, name)

    def delete_collection(self, name: str) -> list[int]:
        """Delete a collection with everything in it, and cancel its jobs.

        Returns the ids of the removals that are due now that nothing refers to its files.
        """
        now = self._now()
        with self._write() as connection:
            collection = collections.get(connection, name, lock=True)
            files = videos.files_of(connection, name)
            queued = removals.queue_tensors(connection, tables.segments.c.collection == name, now)
            queued += _queue_files(connection, files, now)
            queued += removals.queue(connection, "calibrations", [collection.id], now)
            jobs.cancel_where(connection, tables.jobs.c.collection == name, now)
            turns.forget(connection, name)
            collections.delete(connection, name)
            return queued

    def count_videos(self, collection: str) -> int:
        """How many videos the collection holds, whatever their status."""
        with self._read() as connection:
            return collections.count_rows(connection, tables.videos, collection)

    def count_segments(self, collection: str) -> int:
        """How many segments of the collection can be found."""
        with self._read() as connection:
            return collections.count_rows(connection, tables.segments, collection)

    def get_video(self, collection: str, video_id: str) -> Video:
        """The collection's video of that id. Raises VideoNotFound."""
        with self._read() as connection:
            return _video(connection, collection, video_id)

    def list_videos(
        self,
        collection: str,
        cursor: str | None = None,
        limit: int = 100,
        status: VideoStatus | None = None,
    ) -> RecordPage[Video]:
        """The collection's videos, the newest first. Raises InvalidCursor."""
        with self._read() as connection:
            collections.get(connection, collection)
            return videos.page(connection, collection, status, cursor, limit)

    def update_video_metadata(self, collection: str, video_id: str, metadata: Metadata) -> Video:
        """Replace a video's metadata. Raises VideoNotFound, InvalidMetadata."""
        check_metadata(metadata)
        with self._write() as connection:
            _video(connection, collection, video_id)
            videos.set_metadata(connection, video_id, metadata)
            return videos.get(connection, collection, video_id)

    def delete_video(self, collection: str, video_id: str) -> list[int]:
        """Delete a video and its segments, and cancel its job. Raises VideoNotFound.

        Returns the ids of the removals that are due now that nothing refers to its files.
        """
        now = self._now()
        with self._write() as connection:
            owner = collections.get(connection, collection, lock=True)
            video = videos.get(connection, collection, video_id)
            jobs.cancel_where(connection, tables.jobs.c.video_id == video_id, now)
            queued = segments.remove_all(connection, owner, video_id, now)
            queued += _queue_files(connection, [(video_id, video.sha256)], now)
            videos.remove(connection, video_id)
            return queued

    def is_media_referenced(self, sha256: str) -> bool:
        """Whether a video of any collection holds these bytes."""
        with self._read() as connection:
            return videos.is_media_referenced(connection, sha256)

    def list_segments(self, collection: str, video_id: str) -> list[Segment]:
        """The video's segments in time order. Raises VideoNotFound."""
        with self._read() as connection:
            _video(connection, collection, video_id)
            return segments.of_video(connection, video_id)

    def segments_by_rows(self, rows: Iterable[int]) -> list[SegmentOfVideo]:
        """The segments of these rows, in the order given; rows that are gone are left out."""
        with self._read() as connection:
            return segments.by_rows(connection, rows)

    def embeddings_by_rows(self, rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """The vectors of these rows that are there and sound, float32 [N, D], in their order."""
        with self._read() as connection:
            return changes.vectors_of(connection, rows)

    def segments_by_ids(self, collection: str, ids: Sequence[str]) -> list[SegmentOfVideo]:
        """The collection's segments of these ids, in the order given. Raises SegmentNotFound."""
        with self._read() as connection:
            collections.get(connection, collection)
            return segments.by_ids(connection, collection, ids)

    def eligible_rows(
        self, collection: str, wanted: Condition | None, *, last_row: int | None = None
    ) -> npt.NDArray[np.int64] | None:
        """The rows of segments that fit, ascending; None when nothing restricts them.

        last_row : rows beyond it are left out
        """
        with self._read() as connection:
            collections.get(connection, collection)
            return filter_clauses.rows(connection, collection, wanted, last_row)

    def key_counts(
        self, collection: str, keys: Sequence[str], *, at_most: int | None = None
    ) -> dict[str, int]:
        """In how many of the collection's videos each key of the metadata is.

        at_most : so many are counted of each, which is quick
        """
        with self._read() as connection:
            return filter_clauses.key_counts(connection, collection, keys, at_most=at_most)

    def rows_by_video(
        self, collection: str, video_ids: Sequence[str] | None = None
    ) -> dict[str, npt.NDArray[np.int64]]:
        """The segment rows of these videos, or of all, in time order, the newest video first.

        Videos without segments are left out.
        """
        with self._read() as connection:
            collections.get(connection, collection)
            return segments.rows_by_video(connection, collection, video_ids)

    def put_label_set(
        self, name: str, labels: Sequence[str], templates: Sequence[str]
    ) -> tuple[LabelSet, bool]:
        """Create the label set of that name, or replace what it holds; True when it is new.

        To put what is there already changes nothing.
        """
        now = self._now()
        fresh = LabelSet(name, tuple(labels), tuple(templates), created_at=now, updated_at=now)
        try:
            with self._write() as connection:
                there = label_sets.find(connection, name)
                if there is None:
                    label_sets.put(connection, fresh)
                    return fresh, True
                if (there.labels, there.templates) == (fresh.labels, fresh.templates):
                    return there, False
                label_sets.replace(connection, fresh)
                return replace(fresh, created_at=there.created_at), False
        except IntegrityError:  # another process put one of that name a moment ago
            return self.put_label_set(name, labels, templates)

    def get_label_set(self, name: str) -> LabelSet:
        """The label set of that name. Raises LabelSetNotFound."""
        with self._read() as connection:
            return label_sets.get(connection, name)

    def list_label_sets(
        self, cursor: str | None = None, limit: int = 100
    ) -> RecordPage[LabelSetListing]:
        """Label sets by name. Raises InvalidCursor."""
        with self._read() as connection:
            return label_sets.page(connection, cursor, limit)

    def delete_label_set(self, name: str) -> None:
        """Delete a label set. Raises LabelSetNotFound."""
        with self._write() as connection:
            label_sets.remove(connection, name)

    def changes_since(self, collection_id: str, sequence: int, limit: int = 10_000) -> list[Change]:
        """Up to `limit` changes after `sequence`, ascending; an empty list is the end.

        Additions of rows that are gone already are left out. The last change of all has the
        number of the collection's `sequence`.
        """
        with self._read() as connection:
            dim = collections.get_by_id(connection, collection_id).dim or 0
            return changes.since(connection, collection_id, sequence, dim, limit)

    def load_vectors(
        self, collection_id: str, batch: int = LOADED_AT_ONCE
    ) -> tuple[int, Iterator[VectorBatch]]:
        """Every vector of the collection, and the sequence from which to follow the changes.

        Changes made while the vectors are read may or may not be in them; following them applies
        them (again), which adds and removes bear.
        """
        with self._read() as connection:
            collection = collections.get_by_id(connection, collection_id)
        return collection.sequence, self._vectors(collection, batch)

    def _vectors(self, collection: Collection, batch: int) -> Iterator[VectorBatch]:
        row = 0
        while collection.dim is not None:
            with self._read() as connection:
                found = changes.vectors_after(
                    connection, collection.name, row, collection.dim, batch
                )
            if found.last_row == row:
                return
            yield found
            row = found.last_row


def _video(connection: Connection, collection: str, video_id: str) -> Video:
    collections.get(connection, collection)
    return videos.get(connection, collection, video_id)


def _queue_files(
    connection: Connection, files: Sequence[tuple[str, str]], now: datetime
) -> list[int]:
    """Note that the files of these (video id, sha256) may go from the disk."""
    contents = dict.fromkeys(sha256 for _, sha256 in files)
    folders = [video_id for video_id, _ in files]
    return removals.queue(connection, "content", contents, now) + removals.queue(
        connection, "thumbnails", folders, now
    )
