"""The default backend: FAISS over half-precision rows, exact, in one scan a query.

On disk: nothing. The index is filled from the source of truth when it is opened.

Q queries, N rows, M allowed ids, D width, K hits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from index.border import check_dim, check_ids, check_k, check_rows, check_vectors
from index.protocol import Hits, Ids, VectorIndex, Vectors

# FAISS's stubs describe the C++ signatures, not those its Python layer puts over them.
faiss: Any = import_module("faiss")

IDS_PER_BITMAP_BYTE = 64  # a bitmap sparser than one allowed id in 64 bytes costs more than a set
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
        rows = faiss.IndexScalarQuantizer(dim, half, faiss.METRIC_INNER_PRODUCT)
        self._index = faiss.IndexIDMap2(rows)
        self._largest_id = -1

    @property
    def dim(self) -> int:
        """D, the width every vector must have."""
        return self._dim

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Put rows in, replacing those whose id exists. ids (N,), vectors (N, D)."""
        ids, vectors = check_rows(ids, vectors, self._dim)
        if ids.size == 0:
            return
        # FAISS rounds a value half-way between two halves up, IEEE to even: round before it does.
        vectors = vectors.astype(np.float16).astype(np.float32)
        with self._capped_threads():
            known = ids[ids <= self._largest_id]
            if known.size:  # a removal rewrites the whole array: not for rows that must be new
                self._index.remove_ids(known)
            self._index.add_with_ids(vectors, ids)
        self._largest_id = max(self._largest_id, int(ids.max()))

    def remove(self, ids: Ids) -> int:
        """Take rows out and say how many there were; one call costs a scan. ids (N,)."""
        if check_ids(ids).size == 0 or len(self) == 0:
            return 0
        with self._capped_threads():
            return int(self._index.remove_ids(ids))

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> Hits:
        """The best K of the allowed rows for each query. queries (Q, D), allowed (M,)."""
        queries = check_vectors("queries", queries, self._dim)
        k = check_k(k)
        ceiling = len(self) if allowed is None else min(len(self), check_ids(allowed).size)
        if ceiling == 0 or len(queries) == 0:
            return _no_hits(len(queries))
        with self._capped_threads(), self._narrowed_to(allowed) as parameters:
            looked_at = min(k + 1, ceiling)
            while True:
                scores, ids = self._index.search(queries, looked_at, params=parameters)
                if looked_at == ceiling or not _tie_at_cut(scores, ids, k):
                    break
                # FAISS keeps whichever of equal scores it met first. To cut by id, see them all.
                looked_at = min(looked_at * GROWTH, ceiling)
        return _in_order(scores, ids, k)

    @contextmanager
    def _narrowed_to(self, allowed: Ids | None) -> Iterator[Any]:
        """Parameters that hide every other row from the scan, so that none takes a place."""
        if allowed is None:
            yield None
            return
        within = allowed[allowed <= self._largest_id]
        if within.size * IDS_PER_BITMAP_BYTE < self._largest_id:
            # FAISS keeps a pointer to the array: both live until the search is done.
            yield faiss.SearchParameters(sel=faiss.IDSelectorBatch(within))
            return
        bits = np.zeros(self._largest_id + 1, dtype=np.bool_)
        bits[within] = True
        bitmap = np.packbits(bits, bitorder="little")
        yield faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bitmap))

    @contextmanager
    def _capped_threads(self) -> Iterator[None]:
        """The cap belongs to the calling thread, so it is set for the call and put back."""
        before = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(self._threads)
        try:
            yield
        finally:
            faiss.omp_set_num_threads(before)


def _no_hits(queries: int) -> Hits:
    return Hits(np.empty((queries, 0), np.int64), np.empty((queries, 0), np.float32))


def _tie_at_cut(scores: Vectors, ids: Ids, k: int) -> bool:
    """Whether a row left out might score as the last one taken does, in any query."""
    return bool(np.any((ids[:, -1] >= 0) & (scores[:, -1] == scores[:, k - 1])))


def _in_order(scores: Vectors, ids: Ids, k: int) -> Hits:
    """Hits by descending score, then ascending id; FAISS fills up with id -1, which is dropped."""
    count = min(k, int((ids[0] >= 0).sum()))  # every query sees the same rows
    missing: npt.NDArray[np.bool_] = ids < 0
    order = np.lexsort((ids, -scores, missing), axis=1)[:, :count]
    return Hits(np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1))


_: type[VectorIndex] = FaissFlatIndex
