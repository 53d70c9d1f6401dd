"""Quantization upkeep: gives large indexes their codes and measures the recall of those.

An index is searched exactly until it has codes whose recall is known. Both are made in one
background thread, which holds the lock of the index's owner only for moments. Codes are made again
when the index has outgrown them, and measured by the last queries as soon as there are enough.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from index.faiss_rabitq import FaissRabitqIndex
from index.protocol import Hits, Ids, VectorIndex, Vectors

MEASURED_QUERIES = 32  # queries whose recall is measured
MEASURED_HITS = 200  # rows of each: as many as a search has candidates
RECODE_GROWTH = 2.0  # times the rows that the codes were centred on
REMEASURE_GROWTH = 1.2  # times the rows there were when recall was measured

_logger = logging.getLogger(__name__)


class MaintainedIndex:
    """A vector index whose codes are kept up to date in the background.

    Every method is called under `lock`, as `VectorIndex` requires of its owner.

    lock : the owner's; the background thread takes it too, a few milliseconds at a time
    """

    def __init__(
        self, index: FaissRabitqIndex, lock: threading.Lock, maintenance: IndexMaintenance
    ) -> None:
        self.index = index
        self.lock = lock
        self.recent_queries: deque[Vectors] = deque(maxlen=MEASURED_QUERIES)
        self.coded_rows = 0  # how many rows there were when the codes were made
        self.measured_rows = 0  # and when their recall was measured
        self.measured_by_queries = False
        self.busy = False  # the background thread works on it, or is about to
        self._maintenance = maintenance

    @property
    def dim(self) -> int:
        """D, the width every vector must have."""
        return self.index.dim

    @property
    def recall(self) -> float | None:
        """The share of the nearest rows that codes find, as last measured; None without codes."""
        return self.index.recall

    def __len__(self) -> int:
        return len(self.index)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Put rows in, replacing those whose id exists. ids (N,), vectors (N, D)."""
        self.index.add(ids, vectors)

    def remove(self, ids: Ids) -> int:
        """Take rows out and say how many there were. ids (N,)."""
        return self.index.remove(ids)

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> Hits:
        """The best K of the allowed rows for each query. queries (Q, D), allowed (M,).

        The queries are kept to measure recall by, and upkeep that is due begins in the background.
        """
        hits = self.index.search(queries, k, allowed)
        self.recent_queries.extend(queries)
        self.maintain()
        return hits

    def maintain(self) -> None:
        """Begin upkeep that is due, in the background; returns at once."""
        self._maintenance.schedule(self)

    def needs_codes(self) -> bool:
        """Whether there are no codes, or they were made for far fewer rows."""
        return len(self.index) > RECODE_GROWTH * self.coded_rows

    def needs_measuring(self) -> bool:
        """Whether the index has grown since recall was measured, or was measured by its rows."""
        grown = len(self.index) > REMEASURE_GROWTH * self.measured_rows
        enough = len(self.recent_queries) == MEASURED_QUERIES
        return grown or (enough and not self.measured_by_queries)


class IndexMaintenance:
    """The background thread that keeps the codes of many indexes up to date, one at a time.

    above : indexes with no more rows than this get no codes
    """

    def __init__(self, above: int) -> None:
        self._above = above
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="codes")

    def schedule(self, maintained: MaintainedIndex) -> None:
        """Begin what is due and return at once; the caller holds the lock."""
        too_small = len(maintained) <= self._above
        if too_small or maintained.busy or self._stopping.is_set():
            return
        if maintained.needs_codes() or maintained.needs_measuring():
            maintained.busy = True
            self._thread.submit(self._work, maintained)

    def close(self) -> None:
        """Stop the thread; indexes are searched as before, half-made codes are dropped."""
        self._stopping.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _work(self, maintained: MaintainedIndex) -> None:
        try:
            if maintained.needs_codes():
                self._code(maintained)
            self._measure(maintained)
        except Exception:  # searches stay exact, and the thread goes on with other indexes
            _logger.exception("an index could not be given codes; its searches stay exact")
        else:
            maintained.busy = False

    def _code(self, maintained: MaintainedIndex) -> None:
        rows = len(maintained)
        for _ in maintained.index.coding(maintained.lock):
            if self._stopping.is_set():
                return
        maintained.coded_rows = rows

    def _measure(self, maintained: MaintainedIndex) -> None:
        index, recent = maintained.index, maintained.recent_queries
        with maintained.lock:
            by_queries = len(recent) == MEASURED_QUERIES
            queries = [*recent] if by_queries else [*index.some(MEASURED_QUERIES)]
        shares = []
        for query in queries:
            if self._stopping.is_set():
                return
            with maintained.lock:  # for one query: searches run in between
                shares.append(index.measure(query[None], MEASURED_HITS))
        recall = float(np.mean(shares)) if shares else 1.0  # an empty index misses nothing
        with maintained.lock:
            index.trust(recall)
            maintained.measured_rows = len(index)
            maintained.measured_by_queries = by_queries
        _logger.info("the codes of %d rows have a recall of %.4f", maintained.measured_rows, recall)


_: type[VectorIndex] = MaintainedIndex
