"""Vector port: what the services need of an engine that finds the nearest vectors.

The catalog is the source of truth for every vector; what stands behind the port may be dropped and
rebuilt from it. The catalog numbers a collection's changes (`Collection.sequence`), and an
implementation has to know every change up to the number that the caller has read. It may do so
in its own way: `app.services.vectors.replica` keeps the vectors in memory and follows the
changes; an engine that stores vectors itself would wait for them to arrive.

To add an implementation, write the class, open it in `app.services.vectors.factory`, and let it
pass the suite of `tests/app/services/vectors/contract.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.catalog.records import Collection
from index import Ids, Vectors


@dataclass(frozen=True, slots=True)
class Recall:
    """The vectors nearest to one query, at one moment of the collection's sequence.

    rows : int64, shape = (K,), best first, with K = min(count, eligible)
    scores : float32, shape = (K,), the inner products
    total : how many vectors there are
    eligible : how many of those the query was allowed to find
    sequence : the last change of the collection that was taken into account
    last_row : the highest row there has been; every later one will be higher
    damaged : how many eligible rows have no vector that could be read, and so are in no count
    measured : None if every eligible vector was compared, else the share of the nearest rows that
        was found when that was last measured
    """

    rows: Ids
    scores: Vectors
    total: int
    eligible: int
    sequence: int
    last_row: int
    damaged: int = 0
    measured: float | None = None


class VectorPort(Protocol):
    """The vectors of every collection. All methods may be called from many threads at once.

    A collection is given as the caller has read it from the catalog: its id says which collection
    is meant, as a name may be used again, and its sequence says which changes must be known.
    CollectionNotFound may be raised for one that was deleted meanwhile.
    """

    def prepare(self) -> None:
        """Get ready for searches, so that the first need not wait; blocks, perhaps for minutes."""

    def recall(
        self, collection: Collection, query: Vectors, count: int, allowed: Ids | None
    ) -> Recall:
        """The `count` rows with the largest inner products, out of the allowed ones.

        query : float32, shape = (D,)
        count : at least 1
        allowed : int64, ascending, or None for every row. Rows are narrowed to these before the
            nearest are chosen.

        Vectors count with at least half precision. A collection that is still empty has no width,
        and gives an empty recall.
        """

    def last_row(self, collection: Collection) -> int:
        """The highest row there has been, at least up to the sequence of `collection`."""

    def sizes(self) -> dict[str, int]:
        """The number of vectors by name of collection; quick, and perhaps not of the latest."""

    def forget(self, name: str) -> None:
        """Let go of the vectors of a collection that was deleted from the catalog."""

    def close(self) -> None:
        """Stop work in the background; searches that still run end as they would have."""
