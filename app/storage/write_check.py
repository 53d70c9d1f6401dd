"""Write check: whether every folder of the data folder can be written, before a process starts.

A volume that is mounted read-only, or a folder of another owner, would otherwise show at the first
upload, or as a process that is restarted for ever.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path
from typing import Final

from app.data_layout import DataLayout

DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})  # which passes, and says nothing here


def check_writable(layout: DataLayout) -> None:
    """Make the folders and write in each of them. Raises OSError with the path."""
    folders = (layout.media, layout.thumbnails, layout.tensors, layout.uploads, layout.tmp)
    for folder in (layout.root, *folders):
        try:
            _write_in(folder)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise OSError(error.errno, error.strerror, str(folder)) from error


def _write_in(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe-{secrets.token_hex(8)}"
    os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    probe.unlink()
