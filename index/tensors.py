"""Tensor store: records in append-only packed files, read at random by `pread`.

On disk: `<writer>-<number>.tensors` in one folder, each a run of safetensors blobs with nothing
between them. A blob is found by file name, offset and length, and checked by its CRC-32, all of
which the caller keeps. A writer never opens a file it did not create, so any number of processes
may write into one folder under different names; it holds the kernel's lock on each of its files
until it is closed, full ones too, so that others can tell which bytes may still come to be referred
to. Unreferenced bytes (a writer that died, a record that was deleted) stay where they are until
they are erased; no byte is ever written again. Files that vanish take their records with them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from index import sparse_files
from index.errors import TensorCorrupt, TensorNotFound, VectorStoreError
from index.protocol import Record, TensorReference, Tensors, TensorStore

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
            raise ValueError(f"writer id {writer_id!r} may hold only a-z, 0-9, '_' and '-'")
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._writer_id = writer_id
        self._roll_bytes = roll_bytes
        self._lock = threading.Lock()
        self._file: int | None = None
        self._full: list[int] = []  # kept open for their locks
        self._name = ""
        self._size = 0
        self._number = 0

    def append(self, records: Sequence[Tensors]) -> list[TensorReference]:
        """Write records and say where they lie, in order. They are safe only after `sync`."""
        blobs = [_blob(record) for record in records]
        with self._lock:
            return [self._append(blob) for blob in blobs]

    def sync(self) -> None:
        """Return once everything appended would survive a loss of power.

        Raises FileNotFoundError when the file that was appended to has been removed.
        """
        with self._lock:
            if self._file is None:
                return
            if self._is_removed(self._file):
                raise FileNotFoundError(errno.ENOENT, "the tensor file was removed", self._name)
            os.fsync(self._file)

    def read(self, references: Sequence[TensorReference]) -> list[Record]:
        """The records, in the requested order, each checked against its CRC-32.

        Raises TensorNotFound for a file that is not in the store, TensorCorrupt for bytes that
        are missing, differ or cannot be read.
        """
        records = []
        for record in self.read_each(references):
            if isinstance(record, VectorStoreError):
                raise record
            records.append(record)
        return records

    def read_each(self, references: Sequence[TensorReference]) -> list[Record | VectorStoreError]:
        """Like `read`, with the error instead of a record that has one."""
        with ExitStack() as stack:
            names = {reference.file for reference in references}
            files = {name: self._open_to_read(name, stack) for name in names}
            # The kernel gets all of them first, so that a disk serves them in parallel. Threads
            # would do the same, but take three times as long for records already in memory.
            for reference in references:
                _announce(files[reference.file], reference)
            return [_read_or_say(files[reference.file], reference) for reference in references]

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """Within the block: the file itself, not a copy. Raises TensorNotFound."""
        path = self._path(name)
        if not path.is_file():
            raise self._not_found(name)
        yield path

    def files(self) -> list[str]:
        """The names of the files there are, of all writers."""
        return sorted(
            path.name for path in self._folder.iterdir() if FILE_NAME.fullmatch(path.name)
        )

    def size_bytes(self, name: str) -> int:
        """How long a file is; 0 when it is not there."""
        with suppress(FileNotFoundError):
            return self._path(name).stat().st_size
        return 0

    def disk_bytes(self, name: str) -> int:
        """What a file takes of the disk, holes not counted; 0 when it is not there."""
        with suppress(FileNotFoundError):
            return self._path(name).stat().st_blocks * 512
        return 0

    def erase(self, name: str, runs: Iterable[tuple[int, int]]) -> None:
        """Take (offset, length) runs of a file off the disk; safe beside its writer.

        When it returns, the bytes are gone for good. A file that is not there has none.
        """
        with suppress(FileNotFoundError), ExitStack() as stack:
            file = os.open(self._path(name), os.O_RDWR | os.O_CLOEXEC)
            stack.callback(os.close, file)
            for offset, length in runs:
                sparse_files.erase(file, offset, length)
            os.fsync(file)

    def written_bytes(self, name: str, offset: int, length: int) -> int:
        """How much of a run has not been erased, in whole blocks; 0 without the file."""
        with suppress(FileNotFoundError), ExitStack() as stack:
            file = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, file)
            return sparse_files.written_bytes(file, offset, length)
        return 0

    @contextmanager
    def ended(self, name: str) -> Iterator[bool]:
        """Within the block: whether no living writer holds the file, and none will again."""
        with ExitStack() as stack:
            try:
                file = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, file)
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except (FileNotFoundError, BlockingIOError):
                yield False
            else:
                yield True

    def unlink(self, name: str) -> None:
        """Remove a whole file, within `ended`; when it returns, the file is gone for good."""
        self._path(name).unlink(missing_ok=True)
        _sync_folder(self._folder)

    def close(self) -> None:
        """Sync and let go of the files."""
        with self._lock:
            self._end_file()
            while self._full:
                os.close(self._full.pop())

    def _append(self, blob: bytes) -> TensorReference:
        full = self._size >= self._roll_bytes
        if self._file is None or full or self._is_removed(self._file):
            self._end_file()
            self._begin_file()
        assert self._file is not None
        offset = self._size
        try:
            _write(self._file, blob)
        except OSError:
            self._end_file()  # a torn write leaves the end unknown: never write there again
            raise
        self._size += len(blob)
        return TensorReference(self._name, offset, len(blob), zlib.crc32(blob))

    def _begin_file(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        while self._file is None:
            name = f"{self._writer_id}-{self._number:06d}.tensors"
            self._number += 1
            try:
                file = os.open(self._folder / name, flags, 0o640)
            except FileExistsError:  # an earlier process had this writer's name
                continue
            fcntl.flock(file, fcntl.LOCK_EX)
            if self._is_removed(file):  # before it was locked, as if its writer had died
                os.close(file)
                continue
            self._file, self._name, self._size = file, name, 0
        _sync_folder(self._folder)

    @staticmethod
    def _is_removed(file: int) -> bool:
        """Whether an open file has no name any more: what is written to it goes with it."""
        return os.fstat(file).st_nlink == 0

    def _end_file(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        self._full.append(file)
        os.fsync(file)

    def _open_to_read(self, name: str, stack: ExitStack) -> int | VectorStoreError:
        try:
            file = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except TensorNotFound as error:
            return error
        except FileNotFoundError:
            return self._not_found(name)
        stack.callback(os.close, file)
        return file

    def _not_found(self, name: str) -> TensorNotFound:
        return TensorNotFound(f"{self._folder} holds no tensor file {name!r}")

    def _path(self, name: str) -> Path:
        # References come over the network: only a plain name of our own making reaches the disk.
        if not FILE_NAME.fullmatch(name):
            raise TensorNotFound(f"{name!r} is not the name of a tensor file")
        return self._folder / name


def _blob(record: Tensors) -> bytes:
    return save({name: np.ascontiguousarray(array) for name, array in record.items()})


def _write(file: int, blob: bytes) -> None:
    rest = memoryview(blob)
    while rest:
        rest = rest[os.write(file, rest) :]


def _announce(file: int | VectorStoreError, reference: TensorReference) -> None:
    if isinstance(file, VectorStoreError):
        return
    with suppress(OSError, OverflowError):  # only a hint: `_read` says what is wrong
        os.posix_fadvise(file, reference.offset, reference.length, os.POSIX_FADV_WILLNEED)


def _read_or_say(
    file: int | VectorStoreError, reference: TensorReference
) -> Record | VectorStoreError:
    if isinstance(file, VectorStoreError):
        return file
    try:
        return _read(file, reference)
    except TensorCorrupt as error:
        return error
    except OSError as error:  # a disk that has lost the block says so here
        return TensorCorrupt(f"{reference} cannot be read: {error.strerror}")


def _read(file: int, reference: TensorReference) -> Record:
    size = os.fstat(file).st_size  # looked at first: a wrong length must not become an allocation
    if not 0 <= reference.offset <= reference.offset + reference.length <= size:
        raise TensorCorrupt(f"{reference} lies outside its file of {size} bytes")
    blob = _pread(file, reference.length, reference.offset)
    if zlib.crc32(blob) != reference.crc32:
        raise TensorCorrupt(f"the {len(blob)} bytes of {reference} do not match its checksum")
    try:
        return load(blob)
    except SafetensorError:  # whole bytes of something else, such as none at all
        raise TensorCorrupt(f"{reference} does not refer to a record") from None


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
