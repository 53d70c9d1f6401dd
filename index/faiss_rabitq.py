"""Quantized index (RaBitQ): half-precision rows, found by codes of two bits a number.

A scan of the codes proposes rows, and the rows themselves decide which of those are the best.
FAISS's own way to do that, `IndexRefine`, gives wrong rows under a filter, so the two are combined
here.

On disk: nothing, as for the exact index. Codes are made from the rows, which are filled in when the
index is opened; until they are made, and measured, every search is an exact scan of the rows.

Q queries, N rows, M allowed ids, D width, K hits, C rows proposed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np

from index.checks import check_ids, check_k, check_rows, check_vectors
from index.faiss_common import capped_threads, faiss, in_order, narrowed_to, no_hits
from index.faiss_flat import FaissFlatIndex
from index.protocol import Hits, Ids, VectorIndex, Vectors

BITS = 2
PROPOSED, LEAST_PROPOSED = 4, 100  # rows proposed for each hit, and at least for a search
LEAST_RECALL = 0.9  # codes that find less of what an exact scan finds are not used
SMALL_SHARE = 0.1  # of fewer rows than this share of all, an exact scan is quicker
CODED_AT_ONCE = 2_000  # rows copied while the owner's lock is held: some milliseconds
CENTRED_ON = 20_000  # rows whose mean the codes are relative to


class FaissRabitqIndex:
    """A `FaissFlatIndex`, and after `coding` RaBitQ codes of its rows.

    exact_up_to : with no more rows than this, or no more of them allowed, searches are exact
    threads : how many OpenMP threads one call to the rows may use
    """

    def __init__(self, dim: int, *, exact_up_to: int, threads: int = 1) -> None:
        self._rows = FaissFlatIndex(dim, threads=threads)
        self._codes: _Codes | None = None
        self._missed: dict[int, bool] | None = None  # by codes in the making; False for gone rows
        self._recall: float | None = None
        self._exact_up_to = exact_up_to

    @property
    def dim(self) -> int:
        """D, the width every vector must have."""
        return self._rows.dim

    @property
    def recall(self) -> float | None:
        """The recall last given to `trust`; None before."""
        return self._recall

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Put rows in, replacing those whose id exists. ids (N,), vectors (N, D)."""
        ids, vectors = check_rows(ids, vectors, self.dim)
        if self._codes is not None:
            self._codes.put(ids, vectors, known=ids[ids <= self._rows.largest_id])
        self._rows.add(ids, vectors)
        if (missed := self._missed) is not None:
            missed.update(dict.fromkeys(ids.tolist(), True))

    def reserve(self, rows: int) -> None:
        """Allocate memory for so many rows now, instead of doubling it whenever it is full."""
        self._rows.reserve(rows)

    def remove(self, ids: Ids) -> int:
        """Take rows out and say how many there were; one call costs a scan. ids (N,)."""
        removed = self._rows.remove(ids)
        if self._codes is not None:
            self._codes.remove(ids)
        if (missed := self._missed) is not None:
            missed.update(dict.fromkeys(ids.tolist(), False))
        return removed

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> Hits:
        """The best K of the allowed rows that are proposed. queries (Q, D), allowed (M,)."""
        queries = check_vectors("queries", queries, self.dim)
        eligible = len(self) if allowed is None else min(len(self), check_ids(allowed).size)
        if self._is_quick_to_scan(eligible) or (self._recall or 0) < LEAST_RECALL:
            return self._rows.search(queries, k, allowed)
        return self._search_by_codes(queries, check_k(k), allowed)

    def coding(self, lock: AbstractContextManager[bool]) -> Iterator[None]:
        """Make new codes of all rows, a step with each item; closing the iterator stops it.

        Searches, additions and removals may go on between and during the steps: `lock`, under which
        the owner does all of these, is held only for copying rows and for taking the codes in.
        Searches use the codes only after `trust` says what they recall.
        """
        with lock:
            ids, self._missed = self._rows.ids, {}
            near = self.some(CENTRED_ON)
            centre = near.sum(axis=0) / max(len(near), 1)
        codes = _Codes(centre)
        try:
            for start in range(0, ids.size, CODED_AT_ONCE):
                part = ids[start : start + CODED_AT_ONCE]
                with lock:
                    kept = np.array([id_ not in self._missed for id_ in part.tolist()], np.bool_)
                    vectors = self._rows.vectors(part[kept])
                codes.put(part[kept], vectors)
                yield
            while not self._taken_over(codes, lock):
                yield
        finally:
            self._missed = None

    def measure(self, queries: Vectors, k: int) -> float:
        """The share of the K best rows that a search by codes finds; all, where there are none.

        A row that scores as the last of the best does is as good. queries (Q, D).
        """
        if self._codes is None or len(self) == 0:
            return 1.0
        best = self._rows.search(queries, k).scores[:, -1:]
        found = self._search_by_codes(queries, k, None).scores
        return float((found >= best - 1e-5 * np.abs(best)).mean())

    def some(self, count: int) -> Vectors:
        """A random sample of `count` rows, or all if there are fewer, (N, D)."""
        ids = self._rows.ids
        return self._rows.vectors(np.random.default_rng(ids.size).permutation(ids)[:count])

    def trust(self, recall: float | None) -> None:
        """Search by codes from now on, if they recall enough."""
        self._recall = recall

    def _is_quick_to_scan(self, eligible: int) -> bool:
        return eligible <= max(self._exact_up_to, SMALL_SHARE * len(self))

    def _search_by_codes(self, queries: Vectors, k: int, allowed: Ids | None) -> Hits:
        assert self._codes is not None
        count = max(PROPOSED * k, LEAST_PROPOSED)
        with narrowed_to(allowed, self._rows.largest_id) as parameters:
            proposed = self._codes.nearest(queries, min(count, len(self)), parameters)
        if count >= len(self) or (proposed < 0).any():  # fewer are eligible than would be proposed
            return self._rows.search(queries, k, allowed)
        if len(queries) == 0:
            return no_hits(0)
        pairs = zip(queries, proposed, strict=True)
        scores = np.stack([self._rows.scores(query, ids) for query, ids in pairs])
        hits = in_order(scores, proposed, k)
        return Hits(hits.ids, hits.scores, exact=False)

    def _taken_over(self, codes: _Codes, lock: AbstractContextManager[bool]) -> bool:
        """Whether the codes hold the missed rows and are in use; else more rows were missed."""
        with lock:
            missed, self._missed = self._missed or {}, {}
            gone = np.array([id_ for id_, there in missed.items() if not there], np.int64)
            fresh = np.array([id_ for id_, there in missed.items() if there], np.int64)
            vectors = self._rows.vectors(fresh)
            if len(missed) <= CODED_AT_ONCE:
                codes.remove(gone)
                codes.put(fresh, vectors, known=fresh)
                self._codes, self._recall = codes, None
                return True
        codes.remove(gone)
        codes.put(fresh, vectors, known=fresh)
        return False


class _Codes:
    """Approximate scores by codes: near enough to propose rows, not to rank them.

    Every call uses one thread: codes are made beside searches, and must not take their cores.

    centre : float32, shape = (D,), the mean of the rows; the codes hold what they differ by
    """

    def __init__(self, centre: Vectors) -> None:
        codes = faiss.IndexRaBitQ(centre.size, faiss.METRIC_INNER_PRODUCT, BITS)
        codes.train(centre[None])
        self._index = faiss.IndexIDMap2(codes)

    def put(self, ids: Ids, vectors: Vectors, known: Ids | None = None) -> None:
        """Put codes in, replacing those `known` that exist. ids (N,), vectors (N, D)."""
        if known is not None:
            self.remove(known)
        if ids.size:
            with capped_threads(1):
                self._index.add_with_ids(vectors, ids)

    def remove(self, ids: Ids) -> None:
        """Take codes out; unknown ids are passed over. ids (N,)."""
        if ids.size and self._index.ntotal:
            with capped_threads(1):
                self._index.remove_ids(ids)

    def nearest(self, queries: Vectors, count: int, parameters: object) -> Ids:
        """The C rows that probably score highest, (Q, C), filled up with -1."""
        with capped_threads(1):
            _, ids = self._index.search(queries, count, params=parameters)
        return np.asarray(ids, np.int64)


_: type[VectorIndex] = FaissRabitqIndex
