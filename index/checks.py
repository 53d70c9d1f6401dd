"""Input validation: every vector index checks its arrays here, so all raise the same errors."""

from __future__ import annotations

import numpy as np

from index.errors import InvalidVectors
from index.protocol import Ids, Vectors

LARGEST = float(np.finfo(np.float16).max)  # beyond it a stored value would become infinite


def check_dim(dim: int) -> int:
    """The width, if an index can have it."""
    if dim < 1:
        raise InvalidVectors(f"an index needs a width of at least 1, not {dim}")
    return dim


def check_ids(ids: Ids) -> Ids:
    """Ids of shape (N,), int64 and none negative (-1 is how FAISS says 'no row')."""
    if ids.dtype != np.int64 or ids.ndim != 1:
        raise InvalidVectors(f"ids must be int64 of shape (N,), not {ids.dtype} {ids.shape}")
    if ids.size and ids.min() < 0:
        raise InvalidVectors(f"ids must not be negative: {int(ids.min())}")
    return ids


def check_vectors(name: str, vectors: Vectors, dim: int) -> Vectors:
    """Vectors of shape (N, dim), float32, finite and within the range of float16."""
    if vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape[1] != dim:
        raise InvalidVectors(
            f"{name} must be float32 of shape (N, {dim}), not {vectors.dtype} {vectors.shape}"
        )
    if not within_range(vectors):
        raise InvalidVectors(f"{name} must be finite and within ±{LARGEST:.0f}")
    return np.ascontiguousarray(vectors)


def within_range(vectors: Vectors) -> bool:
    """Whether every number is finite and none beyond the range of float16, of any shape."""
    # NaN fails both. The two ends apart, as absolute numbers would be a second array.
    return vectors.size == 0 or bool(vectors.max() <= LARGEST and vectors.min() >= -LARGEST)


def check_rows(ids: Ids, vectors: Vectors, dim: int) -> tuple[Ids, Vectors]:
    """Ids and vectors that fit each other, of equal ids only the last."""
    check_ids(ids)
    vectors = check_vectors("vectors", vectors, dim)
    if len(ids) != len(vectors):
        raise InvalidVectors(f"{len(ids)} ids do not fit {len(vectors)} vectors")
    _, from_the_end = np.unique(ids[::-1], return_index=True)
    if from_the_end.size == ids.size:
        return ids, vectors
    last = ids.size - 1 - from_the_end
    return ids[last], vectors[last]


def check_k(k: int) -> int:
    """How many hits are wanted."""
    if k < 1:
        raise InvalidVectors(f"k must be at least 1, not {k}")
    return k
