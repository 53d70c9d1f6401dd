"""Memory tensor store: a toy, to show that the contract asks for no folder."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock

import numpy as np
from safetensors.numpy import load, save

from index.errors import TensorCorrupt, TensorNotFound, VectorStoreError
from index.protocol import Record, TensorReference, Tensors, TensorStore


class MemoryTensorFiles:
    """The files of all stores of one process, and which of them have a living writer."""

    def __init__(self) -> None:
        self.contents: dict[str, bytearray] = {}
        self.held: set[str] = set()
        self.numbers = itertools.count()
        self.lock = Lock()


class MemoryTensorStore:
    """A writer of one file, and a reader of all."""

    def __init__(self, files: MemoryTensorFiles, writer_id: str) -> None:
        self._files = files
        self._name = f"{writer_id}-{next(files.numbers)}"

    def append(self, records: Sequence[Tensors]) -> list[TensorReference]:
        with self._files.lock:
            self._files.held.add(self._name)
            return [self._append(record) for record in records]

    def _append(self, record: Tensors) -> TensorReference:
        blob = save({name: np.ascontiguousarray(array) for name, array in record.items()})
        content = self._files.contents.setdefault(self._name, bytearray())
        offset = len(content)
        content += blob
        return TensorReference(self._name, offset, len(blob), zlib.crc32(blob))

    def sync(self) -> None:
        pass

    def read(self, references: Sequence[TensorReference]) -> list[Record]:
        return [self._read(reference) for reference in references]

    def read_each(self, references: Sequence[TensorReference]) -> list[Record | VectorStoreError]:
        return [self._read_or_error(reference) for reference in references]

    def _read_or_error(self, reference: TensorReference) -> Record | VectorStoreError:
        try:
            return self._read(reference)
        except VectorStoreError as error:
            return error

    def _read(self, reference: TensorReference) -> Record:
        content = self._content(reference.file)
        start, end = reference.offset, reference.offset + reference.length
        if not 0 <= start <= end <= len(content) or zlib.crc32(content[start:end]) != (
            reference.crc32
        ):
            raise TensorCorrupt(str(reference))
        return load(bytes(content[start:end]))

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        with NamedTemporaryFile() as file:
            file.write(self._content(name))
            file.flush()
            yield Path(file.name)

    def files(self) -> list[str]:
        return sorted(self._files.contents)

    def size_bytes(self, name: str) -> int:
        return len(self._files.contents.get(name, b""))

    def disk_bytes(self, name: str) -> int:
        content = self._files.contents.get(name, b"")
        return len(content) - content.count(0)

    def written_bytes(self, name: str, offset: int, length: int) -> int:
        run = self._files.contents.get(name, b"")[offset : offset + length]
        return len(run) if any(run) else 0

    def erase(self, name: str, runs: Iterable[tuple[int, int]]) -> None:
        content = self._files.contents.get(name, bytearray())
        for offset, length in runs:
            end = min(offset + length, len(content))
            content[offset:end] = bytes(max(end - offset, 0))

    @contextmanager
    def ended(self, name: str) -> Iterator[bool]:
        yield name in self._files.contents and name not in self._files.held

    def unlink(self, name: str) -> None:
        self._files.contents.pop(name, None)

    def close(self) -> None:
        self._files.held.discard(self._name)

    def _content(self, name: str) -> bytearray:
        try:
            return self._files.contents[name]
        except KeyError:
            raise TensorNotFound(name) from None


_: type[TensorStore] = MemoryTensorStore
