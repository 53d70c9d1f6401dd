"""FAISS helpers: thread cap, row filter and order of hits, shared by the FAISS indexes.

Q queries, K hits, M allowed ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from index.protocol import Hits, Ids, Vectors

# FAISS's stubs describe the C++ signatures, not those its Python layer puts over them.
faiss: Any = import_module("faiss")

IDS_PER_BITMAP_BYTE = 64  # a bitmap sparser than one allowed id in 64 bytes costs more than a set


@contextmanager
def capped_threads(threads: int) -> Iterator[None]:
    """The cap belongs to the calling thread, so it is set for the call and restored."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@contextmanager
def narrowed_to(allowed: Ids | None, largest_id: int) -> Iterator[Any]:
    """Search parameters that hide every other row from the scan, so that none takes up a hit."""
    if allowed is None:
        yield None
        return
    within = allowed[allowed <= largest_id]
    if within.size * IDS_PER_BITMAP_BYTE < largest_id:
        # FAISS keeps a pointer to the array: both live until the search is done.
        yield faiss.SearchParameters(sel=faiss.IDSelectorBatch(within))
        return
    bits = np.zeros(largest_id + 1, dtype=np.bool_)
    bits[within] = True
    bitmap = np.packbits(bits, bitorder="little")
    yield faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bitmap))


def no_hits(queries: int) -> Hits:
    """Hits of searches that nothing was eligible for."""
    return Hits(np.empty((queries, 0), np.int64), np.empty((queries, 0), np.float32))


def in_order(scores: Vectors, ids: Ids, k: int) -> Hits:
    """Hits by descending score, then ascending id; FAISS fills up with id -1, which is dropped."""
    count = min(k, int((ids[0] >= 0).sum()))  # every query sees the same rows
    missing: npt.NDArray[np.bool_] = ids < 0
    order = np.lexsort((ids, -scores, missing), axis=1)[:, :count]
    return Hits(np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1))
