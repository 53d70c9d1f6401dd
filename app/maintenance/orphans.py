"""Orphan: a file on disk that no record refers to, left by a process that died.

Looked for beside a running service: files are listed first and the catalog is read afterwards, so
what has just been committed is never taken for an orphan; and what may still be committed (files of
living writers, files that are being received) is left alone.
"""

from __future__ import annotations

import fcntl
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from app.catalog import Catalog
from app.catalog.records import TensorRun
from app.storage.composition import Storage
from app.storage.media_store import MediaStore
from app.storage.partial_uploads import PartialMissing, PartialUploadStore
from index.protocol import TensorStore

OrphanKind: TypeAlias = Literal[
    "content", "thumbnails", "tensor file", "tensors", "calibration", "upload", "temporary file"
]


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something that may be removed.

    runs : offset and length of the parts, of a file that is still in use
    """

    kind: OrphanKind
    name: str
    size_bytes: int
    runs: tuple[tuple[int, int], ...] = ()


def find_orphans(catalog: Catalog, storage: Storage) -> list[Orphan]:
    """All orphans, by kind."""
    return [
        *_contents(catalog, storage.media),
        *_thumbnails(catalog, storage.media),
        *_tensors(catalog, storage.tensors),
        *_calibrations(catalog, storage.layout.calibrations),
        *_uploads(catalog, storage.partial_uploads),
        *_temporary(storage.layout.tmp),
    ]


def size_of(path: Path) -> int:
    """The bytes of a file, or of everything in a folder; 0 once it is gone."""
    with suppress(FileNotFoundError):
        if path.is_dir():
            return sum(size_of(inner) for inner in path.iterdir())
        return path.stat().st_size
    return 0


def _contents(catalog: Catalog, media: MediaStore) -> Iterator[Orphan]:
    there = set(media.contents())
    for sha256 in sorted(there - catalog.media_in_use()):
        # An upload gives its file the name first, and commits the row under the same lock.
        with media.exclusive():
            size = media.content_bytes(sha256)
            if size is not None and not catalog.is_media_referenced(sha256):
                yield Orphan("content", sha256, size)


def _thumbnails(catalog: Catalog, media: MediaStore) -> Iterator[Orphan]:
    sizes = media.thumbnail_bytes()
    for video_id in sorted(set(sizes) - catalog.known_videos(list(sizes))):
        yield Orphan("thumbnails", video_id, sizes[video_id])


def _tensors(catalog: Catalog, tensors: TensorStore) -> Iterator[Orphan]:
    ended = []
    for name in tensors.files():
        with tensors.ended(name) as over:
            if over:
                ended.append((name, tensors.size_bytes(name)))
    used: defaultdict[str, list[TensorRun]] = defaultdict(list)
    for run in catalog.tensor_runs():
        used[run.file].append(run)
    for name, size in ended:
        if name not in used:
            yield Orphan("tensor file", name, tensors.disk_bytes(name))
            continue
        gaps = [(at, length) for at, length in _gaps(used[name], size)]
        left = [(gap, tensors.written_bytes(name, *gap)) for gap in gaps]
        runs = tuple(gap for gap, written in left if written)
        if runs:
            yield Orphan("tensors", name, sum(written for _, written in left), runs)


def _gaps(runs: list[TensorRun], size: int) -> Iterator[tuple[int, int]]:
    """What lies between the runs, which ascend, and after the last of them."""
    at = 0
    for run in runs:
        if run.offset > at:
            yield at, run.offset - at
        at = max(at, run.offset + run.length)
    if size > at:
        yield at, size - at


def _calibrations(catalog: Catalog, folder: Path) -> Iterator[Orphan]:
    there = sorted(folder.glob("*.safetensors"))
    collections = catalog.collection_ids()
    for path in there:
        # Of a collection that is there, the one before the last may still be in use.
        if path.stem.rpartition("-")[0] not in collections:
            yield Orphan("calibration", path.name, size_of(path))


def _uploads(catalog: Catalog, partials: PartialUploadStore) -> Iterator[Orphan]:
    there = set(partials.ids())
    needed = {upload.id for upload in catalog.list_unfinished_uploads()}  # the service ends them
    for upload_id in sorted(there - needed):
        with suppress(PartialMissing):  # removed meanwhile
            yield Orphan("upload", upload_id, partials.size_bytes(upload_id))


def _temporary(tmp: Path) -> Iterator[Orphan]:
    for path in sorted(tmp.glob("incoming-*")):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield Orphan("temporary file", path.name, size_of(path))
    for path in sorted(tmp.glob("removed-*")):
        yield Orphan("temporary file", path.name, size_of(path))
