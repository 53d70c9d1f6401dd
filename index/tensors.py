"""Tensor records in append-only packed files, read at random by `pread`.

On disk: `<writer>-<number>.tensors` in one folder, each a run of safetensors blobs with nothing
between them. A blob is found by file name, offset and length, and checked by its CRC-32, all of
which the caller keeps. A writer never opens a file it did not create, so any number of processes
may write into one folder under different names. Bytes nobody refers to (a writer that died, a
record that was deleted) stay where they are. Files that vanish take their records with them.
"""

from __future__ import annotations

import os
import re
import threading
import zlib
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from index.errors import TensorCorrupt, TensorNotFound
from index.protocol import TensorReference, Tensors, TensorStore

NAME = re.compile(r"[a-z0-9_-]+")
FILE_NAME = re.compile(r"[a-z0-9_-]+\.tensors")


class PackedTensorStore:
    """A folder of packed files: one writer of its own, a reader of all.

    folder : made if missing
    writer_id : names this process's files; no two living processes may share one
    roll_bytes : a file that has reached this size is closed and the next one begun
    """

    def __init__(self, folder: Path, *, writer_id: str, roll_bytes: int = 1 << 30) -> None:
        if not NAME.fullmatch(writer_id):
            raise ValueError(f"writer id {writer_id!r}: use a-z, 0-9, '_' and '-'")
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._writer_id = writer_id
        self._roll_bytes = roll_bytes
        self._lock = threading.Lock()
        self._file: int | None = None
        self._name = ""
        self._size = 0
        self._number = 0

    def append(self, records: Sequence[Tensors]) -> list[TensorReference]:
        """Write records and say where they lie, in order. They are safe only after `sync`."""
        blobs = [_blob(record) for record in records]
        with self._lock:
            return [self._append(blob) for blob in blobs]

    def sync(self) -> None:
        """Return once everything appended would survive a loss of power."""
        with self._lock:
            if self._file is not None:
                os.fsync(self._file)

    def read(self, references: Sequence[TensorReference]) -> list[dict[str, npt.NDArray[Any]]]:
        """The records, in the order asked, each checked against its CRC-32.

        Raises TensorNotFound for a file that is not in the store, TensorCorrupt for bytes that
        are missing or differ.
        """
        with ExitStack() as stack:
            files = {name: self._open(name, stack) for name in {ref.file for ref in references}}
            # The kernel is told of all of them first, so a disk serves them side by side. Threads
            # would do the same for three times the time of records that are in memory already.
            for reference in references:
                _announce(files[reference.file], reference)
            return [_read(files[reference.file], reference) for reference in references]

    def close(self) -> None:
        """Sync and let go of the file."""
        with self._lock:
            self._end_file()

    def _append(self, blob: bytes) -> TensorReference:
        if self._file is None or self._size >= self._roll_bytes:
            self._end_file()
            self._begin_file()
        assert self._file is not None
        offset = self._size
        try:
            _write(self._file, blob)
        except OSError:
            self._end_file()  # where a torn write left the end is unknown: never write there again
            raise
        self._size += len(blob)
        return TensorReference(self._name, offset, len(blob), zlib.crc32(blob))

    def _begin_file(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        while self._file is None:
            name = f"{self._writer_id}-{self._number:06d}.tensors"
            self._number += 1
            try:
                self._file = os.open(self._folder / name, flags, 0o640)
            except FileExistsError:  # an earlier process had this writer's name
                continue
            self._name, self._size = name, 0
        _sync_folder(self._folder)

    def _end_file(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def _open(self, name: str, stack: ExitStack) -> int:
        # References come over the network: only a plain name of our own making reaches the disk.
        if not FILE_NAME.fullmatch(name):
            raise TensorNotFound(f"{name!r} is not the name of a tensor file")
        try:
            file = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise TensorNotFound(f"no tensor file {name!r} in {self._folder}") from None
        stack.callback(os.close, file)
        return file


def _blob(record: Tensors) -> bytes:
    return save({name: np.ascontiguousarray(array) for name, array in record.items()})


def _write(file: int, blob: bytes) -> None:
    rest = memoryview(blob)
    while rest:
        rest = rest[os.write(file, rest) :]


def _announce(file: int, reference: TensorReference) -> None:
    with suppress(OSError, OverflowError):  # only a hint: `_read` says what is wrong
        os.posix_fadvise(file, reference.offset, reference.length, os.POSIX_FADV_WILLNEED)


def _read(file: int, reference: TensorReference) -> dict[str, npt.NDArray[Any]]:
    size = os.fstat(file).st_size  # looked at first: a wrong length must not become an allocation
    if not 0 <= reference.offset <= reference.offset + reference.length <= size:
        raise TensorCorrupt(f"{reference} lies outside its file of {size} bytes")
    blob = _pread(file, reference.length, reference.offset)
    if zlib.crc32(blob) != reference.crc32:
        raise TensorCorrupt(f"{reference}: the checksum of the {len(blob)} bytes read differs")
    return load(blob)


def _pread(file: int, length: int, offset: int) -> bytes:
    parts = []
    while length:
        part = os.pread(file, length, offset)
        if not part:
            break
        parts.append(part)
        length -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_: type[TensorStore] = PackedTensorStore
