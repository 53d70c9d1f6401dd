"""Test oracle: every score by NumPy, sorted. Small and obviously right, not fast.

Q queries, N rows, M allowed ids, D width, K hits.
"""

from __future__ import annotations

import numpy as np

from index.checks import check_dim, check_ids, check_k, check_rows, check_vectors
from index.protocol import Hits, Ids, VectorIndex, Vectors


class ExactIndex:
    """Rows in a dictionary, rounded to half precision as every backend keeps them."""

    def __init__(self, dim: int) -> None:
        self._dim = check_dim(dim)
        self._rows: dict[int, Vectors] = {}

    @property
    def dim(self) -> int:
        """D, the width every vector must have."""
        return self._dim

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Put rows in, replacing those whose id exists. ids (N,), vectors (N, D)."""
        ids, vectors = check_rows(ids, vectors, self._dim)
        rounded = vectors.astype(np.float16).astype(np.float32)
        self._rows.update(zip(ids.tolist(), rounded, strict=True))

    def remove(self, ids: Ids) -> int:
        """Take rows out and say how many there were. ids (N,)."""
        gone = [self._rows.pop(id_, None) for id_ in check_ids(ids).tolist()]
        return sum(row is not None for row in gone)

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> Hits:
        """The best K of the allowed rows for each query. queries (Q, D), allowed (M,)."""
        queries = check_vectors("queries", queries, self._dim)
        k = check_k(k)
        wanted = self._rows if allowed is None else set(check_ids(allowed).tolist())
        ids = np.array(sorted(self._rows.keys() & wanted), dtype=np.int64)
        rows = np.array([self._rows[id_] for id_ in ids.tolist()], dtype=np.float32)
        scores = queries @ rows.reshape(len(ids), self._dim).T  # (Q, N)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # ids ascend, so ties do too
        return Hits(ids[best], np.take_along_axis(scores, best, axis=1))


_: type[VectorIndex] = ExactIndex
