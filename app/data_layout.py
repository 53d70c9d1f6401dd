"""Data folder layout: the one module that knows every path below the data folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

CATALOG: Final = "catalog.sqlite"
IDENTITY: Final = "identity.json"


@dataclass(frozen=True, slots=True)
class DataLayout:
    """The paths of one data folder; making it touches no disk.

    root : the folder that XCLIP_DATA_DIR names
    """

    root: Path

    @property
    def catalog(self) -> Path:
        """The SQLite file of the catalog, where no database URL is set."""
        return self.root / CATALOG

    @property
    def identity(self) -> Path:
        """The id that the folder shares with its catalog."""
        return self.root / IDENTITY

    @property
    def identity_lock(self) -> Path:
        """The file whose kernel lock lets one process at a time look at the identity."""
        return self.root / "identity.lock"

    @property
    def reserve(self) -> Path:
        """Room on the disk that is given up for deletions once the disk is full."""
        return self.root / "reserve"

    @property
    def media(self) -> Path:
        """Uploaded files, by their SHA-256."""
        return self.root / "media"

    @property
    def thumbnails(self) -> Path:
        """Thumbnails and sprite sheets, a folder for each video."""
        return self.root / "thumbnails"

    @property
    def tensors(self) -> Path:
        """The packed tensor files."""
        return self.root / "tensors"

    @property
    def calibrations(self) -> Path:
        """The confidence models that were fitted to collections."""
        return self.root / "calibrations"

    @property
    def uploads(self) -> Path:
        """The partial files of resumable uploads."""
        return self.root / "uploads"

    @property
    def tmp(self) -> Path:
        """Files being received or written, which the death of their process leaves to be swept."""
        return self.root / "tmp"

    @property
    def backup_lock(self) -> Path:
        """The file whose kernel lock keeps deletions and backups apart."""
        return self.tmp / "backup.lock"

    def calibration(self, name: str) -> Path:
        """The confidence model of that name."""
        return self.calibrations / f"{name}.safetensors"
