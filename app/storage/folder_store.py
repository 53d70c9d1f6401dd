"""Folder store: the object store that keeps each object as a file of its key's name.

A file is complete before it has its name: written beside it, or elsewhere on the same disk, and
renamed. A folder that is deleted is renamed into the trash first, so it is out of sight at once.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Self

from app.storage.object_store import ObjectMissing, ObjectStat, check_key, check_prefix

TRASH = "removed-"


class OpenFile:
    """An open file; it can be read to its end, however soon it is removed.

    modified_s : where the file's own date says nothing
    """

    def __init__(self, path: Path, modified_s: float | None = None) -> None:
        self._file = FileIO(path, "rb")
        found = _stat(os.fstat(self._file.fileno()))
        modified = found.modified_s if modified_s is None else modified_s
        self.stat = ObjectStat(found.size_bytes, modified, found.version)

    def read_range(self, start: int, end: int) -> bytes:
        """Bytes from `start` to before `end`; fewer at the file's end. Raises OSError."""
        return os.pread(self._file.fileno(), end - start, start)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FolderObjectStore:
    """The objects below one folder.

    root : the folder that keys are relative to
    trash : a folder on the same disk, for what is being deleted
    """

    def __init__(self, root: Path, trash: Path) -> None:
        self._root = root
        self._trash = trash

    def put(self, key: str, content: bytes) -> None:
        """Store these bytes, replacing an earlier object; no reader sees half of them."""
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Its first character makes it no key, so `list` leaves it out.
        temporary = target.with_name(f".{target.name}-{secrets.token_hex(8)}")
        try:
            temporary.write_bytes(content)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def put_file(self, key: str, file: Path) -> None:
        """Rename a finished and synced file, which lies on the same disk."""
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)

    def stat(self, key: str) -> ObjectStat:
        """Facts about an object; raises ObjectMissing."""
        with _missing(key):
            return _stat(self._path(key).stat())

    def read(self, key: str) -> bytes:
        """All bytes of a small object; raises ObjectMissing."""
        with _missing(key):
            return self._path(key).read_bytes()

    def open(self, key: str) -> OpenFile:
        """Open an object; raises ObjectMissing."""
        with _missing(key):
            return OpenFile(self._path(key))

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """Within the block: the object's own file, not a copy. Raises ObjectMissing."""
        self.stat(key)
        yield self._path(key)

    def delete(self, key: str) -> None:
        """Remove an object if it is there."""
        self._path(key).unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> None:
        """Remove a folder: out of sight at once, then from the disk.

        Called again after an error it removes what was left.
        """
        folder = self._path(prefix.removesuffix("/"))
        name = f"{TRASH}{prefix.rstrip('/').rpartition('/')[2]}-"
        with suppress(FileNotFoundError):
            folder.rename(self._trash / f"{name}{secrets.token_hex(8)}")
        for removed in self._trash.glob(f"{name}*"):
            with suppress(FileNotFoundError):  # another sweep may be removing it
                shutil.rmtree(removed)

    def sync(self, keys: Iterable[str]) -> None:
        """Sync the files and, once each, the folders that hold their names."""
        folders: set[Path] = set()
        for key in keys:
            path = self._path(key.removesuffix("/"))
            try:
                sync_path(path)
            except FileNotFoundError:
                if key.endswith("/"):
                    folders.add(self._trash)
            folders.update(above for above in path.parents if above.is_relative_to(self._root))
        for folder in sorted(folders, reverse=True):  # a folder before the one that names it
            with suppress(FileNotFoundError):
                sync_path(folder)

    def list(self, prefix: str) -> Iterator[str]:
        """The keys below a prefix, in no order."""
        for folder, _, names in os.walk(self._root / check_prefix(prefix)):
            for name in names:
                key = (Path(folder) / name).relative_to(self._root).as_posix()
                with suppress(ValueError):  # a file that is being written, or none of ours
                    yield check_key(key)

    def sweep(self) -> int:
        """Remove folders from the trash whose deletion was interrupted; how many there were."""
        removed = list(self._trash.glob(f"{TRASH}*"))
        for folder in removed:
            shutil.rmtree(folder, ignore_errors=True)
        return len(removed)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)


@contextmanager
def _missing(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing(key) from None


def _stat(found: os.stat_result) -> ObjectStat:
    return ObjectStat(found.st_size, found.st_mtime, f"{found.st_mtime_ns:x}")


def sync_path(path: Path) -> None:
    """Bring the bytes of a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
