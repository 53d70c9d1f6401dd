"""A second implementation of the vector port: NumPy over what the catalog says at each call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.catalog import Catalog
from app.catalog.records import Collection
from app.services.vectors.port import Recall, VectorPort
from index import Ids, Vectors

_COLLECTIONS_AT_ONCE = 100


@dataclass(slots=True)
class _Contents:
    """What a collection holds: its vectors by row, and its rows without a valid vector."""

    vectors: dict[int, Vectors]
    damaged: set[int]
    sequence: int
    last_row: int


class BruteForceVectors:
    """Reads every vector on every call, and so needs neither memory nor upkeep.

    Only the highest row there has been is kept, as the catalog no longer knows it once that row is
    deleted.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._last_rows: dict[str, int] = {}  # by the id of the collection

    def prepare(self) -> None:
        """Nothing has to be made ready."""

    def recall(
        self, collection: Collection, query: Vectors, count: int, allowed: Ids | None
    ) -> Recall:
        """Score all vectors, sort them, and take the best of the allowed ones."""
        contents = self._read(collection)
        wanted = None if allowed is None else set(allowed.tolist())
        rows = [row for row in sorted(contents.vectors) if wanted is None or row in wanted]
        damaged = contents.damaged if wanted is None else contents.damaged & wanted
        matrix = np.array([contents.vectors[row] for row in rows], np.float32)
        scores = matrix.reshape(len(rows), query.size) @ query
        best = np.argsort(-scores, kind="stable")[:count]
        return Recall(
            np.array(rows, np.int64)[best],
            scores[best],
            len(contents.vectors),
            len(rows),
            contents.sequence,
            contents.last_row,
            len(damaged),
        )

    def last_row(self, collection: Collection) -> int:
        """The highest row that was ever read."""
        return self._read(collection).last_row

    def sizes(self) -> dict[str, int]:
        """Count the vectors of every collection that has any."""
        page = self._catalog.list_collections(None, _COLLECTIONS_AT_ONCE)
        return {
            collection.name: len(self._read(collection).vectors)
            for collection in page.items
            if collection.dim is not None
        }

    def forget(self, name: str) -> None:
        """Nothing is kept by name."""

    def close(self) -> None:
        """Nothing runs in the background."""

    def _read(self, collection: Collection) -> _Contents:
        """Load all vectors, then apply the changes that were made while they were read."""
        sequence, batches = self._catalog.load_vectors(collection.id)
        contents = _Contents({}, set(), sequence, self._last_rows.get(collection.id, 0))
        for batch in batches:
            contents.vectors.update(zip(batch.rows.tolist(), batch.vectors, strict=True))
            contents.damaged.update(batch.damaged)
            contents.last_row = max(contents.last_row, batch.last_row)
        while changes := self._catalog.changes_since(collection.id, contents.sequence):
            for change in changes:
                contents.vectors.pop(change.row, None)
                contents.damaged.discard(change.row)
                if change.kind == "add" and change.vector is not None:
                    contents.vectors[change.row] = change.vector
                elif change.kind == "add":
                    contents.damaged.add(change.row)
                contents.last_row = max(contents.last_row, change.row)
            contents.sequence = changes[-1].sequence
        self._last_rows[collection.id] = contents.last_row
        return contents


_: type[VectorPort] = BruteForceVectors
