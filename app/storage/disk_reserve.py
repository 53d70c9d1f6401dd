"""Disk reserve: a file that is given up on a full disk, so that deletions and a start have room.

To delete a row the database writes. Where not a byte is free that fails, and nothing could ever be
deleted; the reserve is the few megabytes that this takes. It is filled again once there is room.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from typing import Final

from app.data_layout import DataLayout

logger = logging.getLogger(__name__)

LEAST_BYTES: Final = 2 << 20
MOST_BYTES: Final = 32 << 20
_SHARE_OF_DISK: Final = 64
_FILLED_FROM: Final = 4  # times its size must be free: giving it up must not be what fills it


class DiskReserve:
    """The reserve of one data folder; any process may give it up."""

    def __init__(self, layout: DataLayout) -> None:
        self._layout = layout
        self._file = layout.reserve

    def fill(self) -> None:
        """Take the room, unless that would itself make the disk full. Errors change nothing."""
        with suppress(OSError):
            disk = shutil.disk_usage(self._layout.root)
            size = self._size(disk.total)
            if self._taken() >= size or disk.free < _FILLED_FROM * size:
                return
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                os.posix_fallocate(descriptor, 0, size)
            finally:
                os.close(descriptor)

    def give_up_if_needed(self) -> None:
        """Give the room back if less than as much is free. Errors change nothing."""
        with suppress(OSError):
            disk = shutil.disk_usage(self._layout.root)
            if disk.free >= self._size(disk.total):
                return
            if self._taken():
                self._file.unlink()
                logger.warning("the disk is full: the room kept for deletions is given up")

    def _taken(self) -> int:
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0

    @staticmethod
    def _size(disk_bytes: int) -> int:
        return min(MOST_BYTES, max(LEAST_BYTES, disk_bytes // _SHARE_OF_DISK))
