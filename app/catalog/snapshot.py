"""Snapshot: a consistent copy of an SQLite catalog in one plain file, while others write."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def copy(source: Path, target: Path) -> None:
    """Copy the database as one moment sees it to a file that is not there yet."""
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copied:
        original.backup(copied)


def seal(target: Path) -> None:
    """Make a closed copy one file, without the pages of what was deleted before."""
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
