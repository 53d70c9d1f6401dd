"""Index factory: makes the index that suits a width and a number of rows, and maintains it.

A caller names neither FAISS nor a kind of codes. An index that is small is searched exactly; one
that grows large gets codes in the background (`index.maintenance`).
"""

from __future__ import annotations

import threading

from index.faiss_rabitq import FaissRabitqIndex
from index.maintenance import IndexMaintenance, MaintainedIndex


class IndexFactory:
    """Makes indexes that share one background thread; `close` ends it.

    threads : how many threads one search may use
    exact_up_to : with no more rows than this, searches are exact
    """

    def __init__(self, *, threads: int, exact_up_to: int) -> None:
        self._threads = threads
        self._exact_up_to = exact_up_to
        self._maintenance = IndexMaintenance(exact_up_to)

    def make(self, dim: int, lock: threading.Lock, *, expected_rows: int = 0) -> MaintainedIndex:
        """An empty index for vectors of width `dim`, whose owner holds `lock` for every use.

        expected_rows : memory is taken for so many at once; more may be added

        Raises InvalidVectors for a width below 1.
        """
        index = FaissRabitqIndex(dim, exact_up_to=self._exact_up_to, threads=self._threads)
        index.reserve(expected_rows)
        return MaintainedIndex(index, lock, self._maintenance)

    def close(self) -> None:
        """Stop making codes; indexes are searched as before."""
        self._maintenance.close()
