"""Codes for collections that are large: made and measured beside the searches, in one thread."""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from index import FaissRabitqIndex, Vectors

MEASURED_BY = 32  # queries whose recall is measured
MEASURED_AT = 200  # rows of each: as many as a search has candidates
RECODED_AT = 2.0  # times the rows that the codes were centred on
MEASURED_AGAIN_AT = 1.2  # times the rows there were when recall was measured

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Coded:
    """An index, the lock held for every use of it, and how large it was when it was looked after.

    asked : the last queries, float32, (D,) each; what recall is measured by, once there are enough
    coded_rows, measured_rows : how many rows there were then; busy : a thread is at it
    """

    index: FaissRabitqIndex
    lock: threading.Lock
    asked: deque[Vectors] = field(default_factory=lambda: deque(maxlen=MEASURED_BY))
    coded_rows: int = 0
    measured_rows: int = 0
    measured_by_asked: bool = False
    busy: bool = False

    def needs_codes(self) -> bool:
        """Whether there are none, or their centre is that of far fewer rows."""
        return len(self.index) > RECODED_AT * self.coded_rows

    def needs_measure(self) -> bool:
        """Whether the recall is of an index that has grown, or not of queries yet."""
        grown = len(self.index) > MEASURED_AGAIN_AT * self.measured_rows
        return grown or (len(self.asked) == MEASURED_BY and not self.measured_by_asked)


class IndexCompressor:
    """Gives indexes with more rows than `above` their codes, one index at a time."""

    def __init__(self, above: int) -> None:
        self._above = above
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="codes")

    def look_after(self, coded: Coded) -> None:
        """Begin what is due and return at once; the caller holds the lock."""
        if len(coded.index) <= self._above or coded.busy or self._stopping.is_set():
            return
        if coded.needs_codes() or coded.needs_measure():
            coded.busy = True
            self._thread.submit(self._work, coded)

    def close(self) -> None:
        """Leave off; searches stay as they are."""
        self._stopping.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _work(self, coded: Coded) -> None:
        try:
            if coded.needs_codes():
                self._code(coded)
            self._measure(coded)
        except Exception:  # searches stay exact, and must not end with this thread
            _logger.exception("making codes of an index failed")
        else:
            coded.busy = False

    def _code(self, coded: Coded) -> None:
        rows = len(coded.index)
        for _ in coded.index.coding(coded.lock):
            if self._stopping.is_set():
                return
        coded.coded_rows = rows

    def _measure(self, coded: Coded) -> None:
        with coded.lock:
            by_asked = len(coded.asked) == MEASURED_BY
            queries = [*coded.asked] if by_asked else [*coded.index.some(MEASURED_BY)]
        shares = []
        for query in queries:
            if self._stopping.is_set():
                return
            with coded.lock:  # for one query: searches go between
                shares.append(coded.index.measure(query[None], MEASURED_AT))
        recall = float(np.mean(shares)) if shares else 1.0  # of nothing, all is found
        with coded.lock:
            coded.index.trust(recall)
            coded.measured_rows, coded.measured_by_asked = len(coded.index), by_asked
        _logger.info("codes of %d segments recall %.4f", coded.measured_rows, recall)
