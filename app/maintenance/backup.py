"""Backup: a consistent copy of everything while the service runs (`xclip-search backup`)."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app.catalog import Catalog, snapshot
from app.catalog.records import TensorRun
from app.clock import SystemClock
from app.data_layout import CATALOG, IDENTITY, DataLayout
from app.maintenance.file_copy import CopiedFile, Manifest, copy_file, copy_runs
from app.settings import Settings
from app.storage.backup_lock import held_back
from app.storage.composition import Storage, open_storage
from app.storage.errors import BackupImpossible
from app.storage.folder_store import sync_path
from app.storage.library_identity import check_library, open_catalog, pair_copy
from app.storage.media_store import (
    MediaStore,
    content_key,
    sprite_keys,
    thumbnail_key,
    thumbnails_prefix,
)
from app.storage.object_store import ObjectMissing
from index.errors import TensorNotFound

VIDEOS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds. `missing` are files that were not there to be copied."""

    files: int
    size_bytes: int
    missing: list[str]


def back_up(
    settings: Settings, folder: Path, progress: Callable[[int], None] = lambda _: None
) -> BackupReport:
    """Copy the library to `folder`, which must not exist yet and is there only when it is whole.

    What was deleted is not in it, nor what was half sent. `progress` is called with the number
    of files. Raises BackupImpossible, NoLibrary.
    """
    check_library(settings)
    if settings.database_url is not None:
        raise BackupImpossible(
            "the catalog is not the data folder's SQLite file: dump it with its own tool (pg_dump) "
            "while the service is stopped, and copy the data folder beside it"
        )
    open_catalog(settings).close()  # a catalog of another folder makes no backup of this one
    if folder.exists():
        raise BackupImpossible(f"{folder} exists; name a folder that does not")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.with_name(f".{folder.name}-{secrets.token_hex(8)}.partial")
    building.mkdir(mode=0o700)  # the catalog holds the hashes of keys
    try:
        manifest = _copy_all(settings, building, progress)
        os.sync()  # thousands of small files: one by one would take minutes
        manifest.write(building)
        sync_path(building)
        building.rename(folder)
        sync_path(folder.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    size = sum(each.size_bytes for each in manifest.files)
    return BackupReport(len(manifest.files), size, manifest.missing)


def _copy_all(settings: Settings, target: Path, progress: Callable[[int], None]) -> Manifest:
    files: list[CopiedFile] = []
    missing: list[str] = []
    with (
        closing(open_storage(settings.layout, writer_id="backup")) as storage,
        held_back(settings.layout),
    ):
        snapshot.copy(settings.layout.catalog, target / CATALOG)
        with Catalog.open(f"sqlite:///{(target / CATALOG).absolute()}") as catalog:
            catalog.settle_copy()
            pair_copy(catalog, DataLayout(target))
            for copied in _copies(catalog, storage, settings, target):
                if isinstance(copied, str):
                    missing.append(copied)
                else:
                    files.append(copied)
                    progress(len(files))
    snapshot.seal(target / CATALOG)
    files[:0] = [_describe(target, CATALOG), _describe(target, IDENTITY)]
    return Manifest(SystemClock().now().isoformat(), files, missing)


def _copies(
    catalog: Catalog, storage: Storage, settings: Settings, target: Path
) -> Iterator[CopiedFile | str]:
    """Every file that the catalog refers to, copied; the name of one that is not there."""
    for key in _object_keys(catalog, storage.media):
        try:
            with storage.media.objects.local_copy(key) as path:
                copied = copy_file(path, target, key)
        except (ObjectMissing, FileNotFoundError):
            yield key
        else:
            yield copied
    root = settings.data_dir
    for calibration in sorted(catalog.calibrations_in_use()):
        path = settings.layout.calibration(calibration)
        name = path.relative_to(root).as_posix()
        try:
            yield copy_file(path, target, name)
        except FileNotFoundError:
            yield name
    by_file: defaultdict[str, list[TensorRun]] = defaultdict(list)
    for run in catalog.tensor_runs():
        by_file[run.file].append(run)
    for file, runs in by_file.items():
        name = (settings.layout.tensors / file).relative_to(root).as_posix()
        try:
            with storage.tensors.local_copy(file) as path, path.open("rb") as source:
                yield copy_runs(source, target, name, [(run.offset, run.length) for run in runs])
        except (TensorNotFound, FileNotFoundError, EOFError):
            (target / name).unlink(missing_ok=True)
            yield name


def _object_keys(catalog: Catalog, media: MediaStore) -> Iterator[str]:
    for sha256 in sorted(catalog.media_in_use()):
        yield content_key(sha256)
    last = ""
    while videos := catalog.videos_after(last, VIDEOS_AT_ONCE):
        for video in videos:
            for segment in catalog.list_segments(video.collection, video.id):
                yield thumbnail_key(video.id, segment.position)
            # what was ingested by an earlier version has none
            there = set(media.objects.list(thumbnails_prefix(video.id)))
            yield from (key for key in sprite_keys(video.id) if key in there)
        last = videos[-1].id


def _describe(root: Path, path: str) -> CopiedFile:
    """A file that is there already."""
    with (root / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return CopiedFile(path, (root / path).stat().st_size, digest)
