"""Restore: makes a data folder from a backup, comparing every checksum."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from app.data_layout import CATALOG
from app.maintenance.file_copy import CopiedFile, Manifest, copy_file
from app.settings import Settings
from app.storage.errors import BackupImpossible, BackupUnusable
from app.storage.folder_store import sync_path


def restore(
    backup: Path, settings: Settings, progress: Callable[[int], None] = lambda _: None
) -> Manifest:
    """Make the data folder of a backup: all of it, or nothing.

    `progress` is called with the number of files. Raises BackupImpossible (the data folder is not
    empty), BackupUnusable (a file is missing or differs).
    """
    if settings.database_url is not None:
        raise BackupImpossible(
            "XCLIP_DATABASE_URL is set, but a backup brings its own catalog; unset it, or restore "
            "the database with its own tool (pg_restore) and copy the data folder"
        )
    folder = settings.data_dir.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise BackupImpossible(f"{folder} is not empty; XCLIP_DATA_DIR names the folder to make")
    manifest = Manifest.read(backup)
    if CATALOG not in {each.path for each in manifest.files}:
        raise BackupUnusable(f"{backup} holds no catalog")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.with_name(f".{folder.name}-{secrets.token_hex(8)}.partial")
    building.mkdir()
    try:
        for number, each in enumerate(manifest.files, start=1):
            _copy(backup, building, each)
            progress(number)
        os.sync()
        building.rename(folder)  # an empty folder gives way
        sync_path(folder.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return manifest


def _copy(backup: Path, building: Path, expected: CopiedFile) -> None:
    try:
        copied = copy_file(backup / expected.path, building, expected.path)
    except FileNotFoundError:
        raise BackupUnusable(f"the backup lacks {expected.path}") from None
    if copied != expected:
        raise BackupUnusable(f"the backup's {expected.path} is not what was backed up")
