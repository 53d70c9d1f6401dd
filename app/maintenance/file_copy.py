"""File copy with checksums and sparse holes, and the manifest that lists the files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from app.storage.errors import BackupUnusable
from index.sparse_files import any_set

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file of a backup: its path in it, its length and its SHA-256."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All files of a backup. `missing` are those that were not there to be copied."""

    created_at: str
    files: list[CopiedFile]
    missing: list[str]

    def write(self, folder: Path) -> None:
        """Write it; what it lists has been synced."""
        path = folder / MANIFEST
        with path.open("w") as file:
            json.dump({"format": FORMAT, **asdict(self)}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a backup. Raises BackupUnusable."""
        try:
            fields = json.loads((folder / MANIFEST).read_bytes())
            if fields["format"] != FORMAT:
                raise BackupUnusable(
                    f"{folder} is a backup of format {fields['format']}, which this version of the "
                    "program does not know"
                )
            files = [CopiedFile(**each) for each in fields["files"]]
            outside = [each.path for each in files if _leads_outside(each.path)]
            manifest = cls(str(fields["created_at"]), files, list(fields["missing"]))
        except FileNotFoundError:
            raise BackupUnusable(f"{folder} is no backup: it has no {MANIFEST}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise BackupUnusable(f"the {MANIFEST} of {folder} cannot be read: {error}") from error
        if outside:
            raise BackupUnusable(f"the {MANIFEST} names a file outside it: {outside[0]!r}")
        return manifest


def _leads_outside(path: str) -> bool:
    """Whether a path is not one below a folder; raises TypeError and ValueError for no path."""
    if "\0" in path:
        raise ValueError("a path holds NUL")
    pure = PurePosixPath(path)
    return pure.is_absolute() or ".." in pure.parts


def copy_file(source: Path, root: Path, path: str) -> CopiedFile:
    """Copy a whole file to `path` below `root`."""
    with source.open("rb") as file:
        return copy_runs(file, root, path, [(0, os.fstat(file.fileno()).st_size)])


def copy_runs(
    source: BinaryIO, root: Path, path: str, runs: Iterable[tuple[int, int]]
) -> CopiedFile:
    """Copy these (offset, length) runs, ascending, to where they were; between them are zeros."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    end = 0
    with target.open("xb") as file:
        for offset, length in runs:
            _add_zeros(digest, offset - end)
            end = offset + length
            while offset < end:
                chunk = os.pread(source.fileno(), min(_CHUNK_BYTES, end - offset), offset)
                if not chunk:
                    raise EOFError(f"{path} ends before {end}")
                digest.update(chunk)
                if any_set(chunk):
                    os.pwrite(file.fileno(), chunk, offset)
                offset += len(chunk)
        file.truncate(end)
    return CopiedFile(path, end, digest.hexdigest())


def _add_zeros(digest: hashlib._Hash, count: int) -> None:
    while count > 0:
        digest.update(bytes(min(count, _CHUNK_BYTES)))
        count -= _CHUNK_BYTES
