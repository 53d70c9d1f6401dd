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
_STEPS: Final = 4
_FILLED_FROM: Final = 4  # times as much must be free: filling it must not be what fills the disk


class DiskReserve:
    """The reserve of one data folder; any process may give it up."""

    def __init__(self, layout: DataLayout) -> None:
        self._layout = layout
        self._file = layout.reserve

    def fill(self) -> None:
        """Take room, a quarter of what is free at most. Errors change nothing."""
        with suppress(OSError):
            disk = shutil.disk_usage(self._layout.root)
            size, taken = _size(disk.total), self._taken()
            step = size // _STEPS
            target = min(size, taken + disk.free // _FILLED_FROM // step * step)
            if target <= taken:
                return
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                os.posix_fallocate(descriptor, 0, target)
            finally:
                os.close(descriptor)

    def give_up_if_needed(self) -> None:
        """Give a step of the room back if less than as much is free. Errors change nothing.

        Not all of it: what another program takes at once must not have been the last.
        """
        with suppress(OSError):
            disk = shutil.disk_usage(self._layout.root)
            step, taken = _size(disk.total) // _STEPS, self._taken()
            if taken and disk.free < step:
                os.truncate(self._file, max(0, taken - step))
                logger.warning("the disk is full: some of the room kept for deletions is given up")

    def _taken(self) -> int:
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0


def _size(disk_bytes: int) -> int:
    return min(MOST_BYTES, max(LEAST_BYTES, disk_bytes // _SHARE_OF_DISK))
