"""Ports of the package: a vector index that can be rebuilt, and a tensor store that is kept.

Q queries, N rows, D width, K hits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from index.errors import VectorStoreError

Ids: TypeAlias = npt.NDArray[np.int64]
Vectors: TypeAlias = npt.NDArray[np.float32]
Tensors: TypeAlias = Mapping[str, npt.NDArray[Any]]
Record: TypeAlias = dict[str, npt.NDArray[Any]]  # tensors as they are read back


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The best rows for each query, best first; equal scores are ordered by ascending id.

    ids : int64, shape = (Q, K)
    scores : float32, shape = (Q, K), inner products
    exact : every eligible row was scored; else these are the best of those that were proposed
    """

    ids: Ids
    scores: Vectors
    exact: bool = True


class VectorIndex(Protocol):
    """Vectors under int64 ids, searched by inner product.

    Vectors are kept in half precision (rounded to nearest, half-way to even); scores are computed
    from those in single precision. The index holds nothing that cannot be rebuilt from its source.
    One writer at a time, and no search while a write runs: the owner holds the lock. Searches may
    run beside each other.
    """

    @property
    def dim(self) -> int:
        """D, the width every vector must have."""

    def __len__(self) -> int:
        """The number of rows."""

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Put rows in; a row whose id exists is replaced, and of equal ids the last one counts.

        ids : int64, shape = (N,), none negative
        vectors : float32, shape = (N, D), every value finite and within the range of float16

        InvalidVectors must be raised, and nothing changed, when they are not so.
        """

    def remove(self, ids: Ids) -> int:
        """Take rows out and say how many there were; unknown ids are passed over.

        ids : int64, shape = (N,)
        """

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> Hits:
        """The `K = min(k, eligible)` best rows of each query, never fewer.

        A backend may look at some rows only, those that seem best, and says so (`Hits.exact`).

        queries : float32, shape = (Q, D), in the same range as the vectors
        allowed : int64, shape = (M,), or None for every row. The rows are narrowed to these ids
            before the best are chosen; ids the index does not hold are passed over.
        """


@dataclass(frozen=True, slots=True)
class TensorReference:
    """Where one record of tensors lies: a file name in the store, a byte range and its CRC-32."""

    file: str
    offset: int
    length: int
    crc32: int


class TensorStore(Protocol):
    """Small records of named arrays that are written once and read at random."""

    def append(self, records: Sequence[Tensors]) -> list[TensorReference]:
        """Write records and say where they lie, in order. They are safe only after `sync`."""

    def sync(self) -> None:
        """Return once everything appended would survive a loss of power."""

    def read(self, references: Sequence[TensorReference]) -> list[Record]:
        """The records, in the requested order, each checked against its CRC-32.

        TensorNotFound must be raised for a file that is not there, TensorCorrupt for bytes that
        are missing, differ or cannot be read.
        """

    def read_each(self, references: Sequence[TensorReference]) -> list[Record | VectorStoreError]:
        """Like `read`, with the error instead of each record for which `read` would raise it."""

    def local_copy(self, name: str) -> AbstractContextManager[Path]:
        """Within the block: a file with the bytes of a whole file, to be read only.

        Entering it raises TensorNotFound.
        """

    def files(self) -> list[str]:
        """The names of the files there are, of all writers."""

    def size_bytes(self, name: str) -> int:
        """How long a file is; 0 when it is not there."""

    def disk_bytes(self, name: str) -> int:
        """What a file takes of the disk, without what has been erased; 0 when it is not there."""

    def written_bytes(self, name: str, offset: int, length: int) -> int:
        """How much of a run has not been erased, or somewhat more; 0 when there is no file."""

    def erase(self, name: str, runs: Iterable[tuple[int, int]]) -> None:
        """Take (offset, length) runs of a file off the disk for good; safe beside its writer."""

    def ended(self, name: str) -> AbstractContextManager[bool]:
        """Within the block: whether no living writer holds the file, and none will again."""

    def unlink(self, name: str) -> None:
        """Remove a whole file, within `ended`; when it returns, the file is gone for good."""

    def close(self) -> None:
        """Sync and let go of files and threads."""
