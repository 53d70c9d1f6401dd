"""Index: vector search and the tensor store; knows neither video nor HTTP."""

from typing import TYPE_CHECKING, Any

from index.errors import InvalidVectors, TensorCorrupt, TensorNotFound, VectorStoreError
from index.numpy_oracle import ExactIndex
from index.protocol import Hits, Ids, TensorReference, Tensors, TensorStore, VectorIndex, Vectors
from index.tensors import PackedTensorStore

if TYPE_CHECKING:
    from index.faiss_flat import FaissFlatIndex
    from index.faiss_rabitq import FaissRabitqIndex

__all__ = [
    "ExactIndex",
    "FaissFlatIndex",
    "FaissRabitqIndex",
    "Hits",
    "Ids",
    "InvalidVectors",
    "PackedTensorStore",
    "TensorCorrupt",
    "TensorNotFound",
    "TensorReference",
    "TensorStore",
    "Tensors",
    "VectorIndex",
    "VectorStoreError",
    "Vectors",
]


def __getattr__(name: str) -> Any:
    """Load FAISS on first use: its OpenMP runtime need not sit beside torch's in a process
    that only stores tensors."""
    if name == "FaissFlatIndex":
        from index.faiss_flat import FaissFlatIndex

        return FaissFlatIndex
    if name == "FaissRabitqIndex":
        from index.faiss_rabitq import FaissRabitqIndex

        return FaissRabitqIndex
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
