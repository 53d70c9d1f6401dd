"""In-memory index replica: the vectors of every collection, following the catalog's changes.

The catalog is the source of truth. The replica can be dropped at any time, and is brought up to the
catalog's sequence before each search, so the segments of a finished job are found at once. A stored
vector that is no valid vector is left out, and its video is ingested again.

Large collections are searched by quantized codes, which are made in the background
(`index.maintenance`).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from app.catalog import Catalog
from app.catalog.records import Change, Collection, VectorBatch
from app.services.vectors.damage import rebuild
from app.services.vectors.port import Recall, VectorPort
from index import Ids, VectorIndex, Vectors
from index.factory import IndexFactory
from index.maintenance import MaintainedIndex

_CHANGES_AT_ONCE = 10_000
_COLLECTIONS_AT_ONCE = 100


@dataclass(slots=True)
class _Followed:
    """One collection's index and the sequence it is at; `lock` is held for every use.

    index : None while the collection is empty, and so has no width
    damaged : rows of the collection that have no valid vector
    """

    collection_id: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    index: MaintainedIndex | None = None
    sequence: int = 0
    last_row: int = 0
    damaged: set[int] = field(default_factory=set)


class IndexReplica:
    """An index for each collection, shared by the threads of the API.

    threads : how many threads one search may use
    exact_up_to : with no more segments than this, every one is compared
    """

    def __init__(self, catalog: Catalog, *, threads: int, exact_up_to: int = sys.maxsize) -> None:
        self._catalog = catalog
        self._indexes = IndexFactory(threads=threads, exact_up_to=exact_up_to)
        self._lock = threading.Lock()
        self._followed: dict[str, _Followed] = {}

    def prepare(self) -> None:
        """Bring every collection up to date, so that the first search need not."""
        cursor: str | None = None
        while True:
            page = self._catalog.list_collections(cursor, _COLLECTIONS_AT_ONCE)
            for collection in page.items:
                followed = self._of(collection)
                with followed.lock:
                    self._catch_up(followed, collection)
                    if followed.index is not None:
                        followed.index.maintain()
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    def recall(
        self, collection: Collection, query: Vectors, count: int, allowed: Ids | None
    ) -> Recall:
        """The `count` rows nearest to `query` (shape (D,)) among `allowed` (None: every row).

        Knows at least the changes up to the sequence that `collection` carries.
        """
        followed = self._of(collection)
        with followed.lock:
            self._catch_up(followed, collection)
            index = followed.index
            if index is None:
                nothing = np.empty(0, np.int64), np.empty(0, np.float32)
                return Recall(*nothing, 0, 0, followed.sequence, followed.last_row)
            hits = index.search(query[None, :], count, allowed)
            measured = None if hits.exact else index.recall
            total, sequence, last_row = len(index), followed.sequence, followed.last_row
            damaged = len(followed.damaged)
            if damaged and allowed is not None:
                damaged = int(np.isin(list(followed.damaged), allowed).sum())
        eligible = total if allowed is None else min(len(allowed) - damaged, total)
        return Recall(
            hits.ids[0], hits.scores[0], total, eligible, sequence, last_row, damaged, measured
        )

    def last_row(self, collection: Collection) -> int:
        """The highest row there has been, at least up to the sequence of `collection`."""
        followed = self._of(collection)
        with followed.lock:
            self._catch_up(followed, collection)
            return followed.last_row

    def sizes(self) -> dict[str, int]:
        """How many segments each collection's vectors in memory are of."""
        with self._lock:
            followed = dict(self._followed)
        return {name: len(one.index) for name, one in followed.items() if one.index is not None}

    def forget(self, name: str) -> None:
        """Let go of a deleted collection's vectors."""
        with self._lock:
            self._followed.pop(name, None)

    def close(self) -> None:
        """Stop making codes in the background."""
        self._indexes.close()

    def _of(self, collection: Collection) -> _Followed:
        with self._lock:
            followed = self._followed.get(collection.name)
            # A collection deleted and created again has another id and nothing of the old one.
            if followed is None or followed.collection_id != collection.id:
                followed = _Followed(collection.id)
                self._followed[collection.name] = followed
            return followed

    def _catch_up(self, followed: _Followed, collection: Collection) -> None:
        if followed.sequence >= collection.sequence or collection.dim is None:
            return
        if followed.index is None:
            followed.index = self._load(followed, collection)
        while changes := self._catalog.changes_since(
            collection.id, followed.sequence, _CHANGES_AT_ONCE
        ):
            damaged = _apply(followed.index, changes)
            followed.damaged.difference_update(change.row for change in changes)
            followed.damaged.update(damaged)
            self._rebuild(damaged)
            followed.last_row = max(followed.last_row, *(change.row for change in changes))
            followed.sequence = changes[-1].sequence

    def _load(self, followed: _Followed, collection: Collection) -> MaintainedIndex:
        """A new index with every vector that the catalog has now."""
        assert collection.dim is not None
        rows = self._catalog.count_segments(collection.name)
        index = self._indexes.make(collection.dim, followed.lock, expected_rows=rows)
        followed.sequence, batches = self._catalog.load_vectors(collection.id)
        followed.damaged.clear()
        for batch in _read_ahead(batches):
            index.add(batch.rows, batch.vectors)
            followed.damaged.update(batch.damaged)
            followed.last_row = batch.last_row
        self._rebuild(followed.damaged)
        return index

    def _rebuild(self, rows: set[int]) -> None:
        if rows:
            rebuild(self._catalog, self._catalog.existing_segments(list(rows)).values(), "a vector")


def _read_ahead(batches: Iterator[VectorBatch]) -> Iterator[VectorBatch]:
    """The batches, each read while the one before is put into the index."""
    with ThreadPoolExecutor(1, thread_name_prefix="vectors") as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


def _apply(index: VectorIndex, changes: list[Change]) -> set[int]:
    """Apply the changes to the index; returns the added rows that have no valid vector.

    Rows are never reused, so within a batch a removal is the last word on its row.
    """
    removed = {change.row for change in changes if change.kind == "remove"}
    added = [
        (change.row, change.vector)
        for change in changes
        if change.vector is not None and change.row not in removed
    ]
    if removed:
        index.remove(np.fromiter(removed, np.int64, len(removed)))
    if added:
        rows, vectors = zip(*added, strict=True)
        index.add(np.array(rows, np.int64), np.stack(vectors))
    return {
        change.row for change in changes if change.kind == "add" and change.vector is None
    } - removed


_: type[VectorPort] = IndexReplica
