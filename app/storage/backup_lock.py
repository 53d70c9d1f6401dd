"""Backup lock: keeps deletions out while a backup copies files.

A backup holds it alone; removals share it and never wait: what they cannot remove now stays noted.
The lock is the kernel's, on a file in the data folder, and dies with its holder.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.data_layout import DataLayout
from app.storage.errors import BackupImpossible

_PATIENCE_S = 30.0
_PAUSE_S = 0.05


@contextmanager
def removing(layout: DataLayout) -> Iterator[bool]:
    """Within the block: whether files may be removed now; no backup begins before its end."""
    with _open(layout) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def held_back(layout: DataLayout) -> Iterator[None]:
    """Within the block nothing that was deleted is removed. Raises BackupImpossible."""
    with _open(layout) as lock:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BackupImpossible(
                        "another backup is being made, or files are being removed; try again later"
                    ) from None
            time.sleep(_PAUSE_S)
        yield


@contextmanager
def _open(layout: DataLayout) -> Iterator[int]:
    lock = os.open(layout.backup_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        yield lock
    finally:
        os.close(lock)
