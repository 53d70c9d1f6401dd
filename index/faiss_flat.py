"""Flat index: FAISS over half-precision rows, exact, with one scan a query.

On disk: nothing. The index is filled from the source of truth when it is opened.

Q queries, N rows, M allowed ids, D width, K hits.
"""

from __future__ import annotations

import numpy as np

from index.checks import check_dim, check_ids, check_k, check_rows, check_vectors
from index.faiss_common import capped_threads, faiss, in_order, narrowed_to, no_hits
from index.protocol import Hits, Ids, VectorIndex, Vectors

DECODED_AT_ONCE = 256  # rows in single precision: more would be fresh pages from the system
GROWTH = 4  # how much further to look when equal scores cross the cut


class FaissFlatIndex:
    """An `IndexIDMap2` over a scalar quantizer of 16-bit floats, scored by inner product.

    threads : how many OpenMP threads one call may use. OpenMP's own default takes every core for
        every caller.
    """

    def __init__(self, dim: int, *, threads: int = 1) -> None:
        self._dim = check_dim(dim)
        self._threads = threads
        half = faiss.ScalarQuantizer.QT_fp16
        self._rows = faiss.IndexScalarQuantizer(dim, half, faiss.METRIC_INNER_PRODUCT)
        self._index = faiss.IndexIDMap2(self._rows)
        self._largest_id = -1

    @property
    def dim(self) -> int:
        """D, the width every vector must have."""
        return self._dim

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def ids(self) -> Ids:
        """The ids of all rows, (N,), in the order they were added."""
        return np.asarray(faiss.vector_to_array(self._index.id_map), np.int64)

    @property
    def largest_id(self) -> int:
        """No id has ever been larger; -1 before there was one."""
        return self._largest_id

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Put rows in, replacing those whose id exists. ids (N,), vectors (N, D)."""
        ids, vectors = check_rows(ids, vectors, self._dim)
        if ids.size == 0:
            return
        # FAISS rounds what lies half-way between two halves up, IEEE to even: so not by FAISS.
        halves = vectors.astype(np.float16).view(np.uint8)
        with capped_threads(self._threads):
            known = ids[ids <= self._largest_id]
            if known.size:  # a removal rewrites the whole array: not for rows that must be new
                self._index.remove_ids(known)
            self._index.add_sa_codes(halves, ids)
        self._largest_id = max(self._largest_id, int(ids.max()))

    def reserve(self, rows: int) -> None:
        """Take the memory of so many rows now, not twice what is there whenever it is full."""
        if rows > len(self):
            self._rows.codes.resize(rows * self._rows.code_size)
            self._rows.codes.resize(len(self) * self._rows.code_size)  # gives no memory back

    def remove(self, ids: Ids) -> int:
        """Take rows out and say how many there were; one call costs a scan. ids (N,)."""
        if check_ids(ids).size == 0 or len(self) == 0:
            return 0
        with capped_threads(self._threads):
            return int(self._index.remove_ids(ids))

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> Hits:
        """The best K of the allowed rows for each query. queries (Q, D), allowed (M,)."""
        queries = check_vectors("queries", queries, self._dim)
        k = check_k(k)
        ceiling = len(self) if allowed is None else min(len(self), check_ids(allowed).size)
        if ceiling == 0 or len(queries) == 0:
            return no_hits(len(queries))
        with capped_threads(self._threads), narrowed_to(allowed, self._largest_id) as parameters:
            looked_at = min(k + 1, ceiling)
            while True:
                scores, ids = self._index.search(queries, looked_at, params=parameters)
                if looked_at == ceiling or not _tie_at_cut(scores, ids, k):
                    break
                # FAISS keeps whichever of equal scores it met first. To cut by id, see them all.
                looked_at = min(looked_at * GROWTH, ceiling)
        return in_order(scores, ids, k)

    def vectors(self, ids: Ids) -> Vectors:
        """The rows of these ids, (N, D); each must be there."""
        with capped_threads(self._threads):
            return np.asarray(self._index.reconstruct_batch(ids), np.float32)

    def scores(self, query: Vectors, ids: Ids) -> Vectors:
        """What these rows score, (N,); each must be there. query (D,)."""
        starts = range(0, ids.size, DECODED_AT_ONCE)
        parts = [self.vectors(ids[start : start + DECODED_AT_ONCE]) @ query for start in starts]
        return np.concatenate(parts)


def _tie_at_cut(scores: Vectors, ids: Ids, k: int) -> bool:
    """Whether a row left out might score as the last one taken does, in any query."""
    return bool(np.any((ids[:, -1] >= 0) & (scores[:, -1] == scores[:, k - 1])))


_: type[VectorIndex] = FaissFlatIndex
