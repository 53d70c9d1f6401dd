"""Errors of the index package, each leaf with a stable `code`.

VectorStoreError
├── InvalidVectors     invalid_vectors
├── TensorNotFound     tensor_not_found
└── TensorCorrupt      tensor_corrupt
"""

from __future__ import annotations

from typing import ClassVar


class VectorStoreError(Exception):
    """Root of the package's errors; `code` never changes once published."""

    code: ClassVar[str] = "vector_store_error"


class InvalidVectors(VectorStoreError, ValueError):
    """Ids, vectors or queries of the wrong shape, dtype or range; the message names them."""

    code = "invalid_vectors"


class TensorNotFound(VectorStoreError):
    """A reference whose file is not in the store."""

    code = "tensor_not_found"


class TensorCorrupt(VectorStoreError):
    """Bytes that are shorter than the reference says, or whose checksum differs."""

    code = "tensor_corrupt"
