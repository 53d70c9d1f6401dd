"""Snapshot: a copy is one moment of the database, in one file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from app.catalog import Catalog, snapshot
from tests.app.catalog.samples import ingest


def rows(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [row for (row,) in connection.execute("SELECT n FROM t ORDER BY n")]


def make(path: Path, count: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (n INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(count)])
        connection.commit()


def test_a_copy_leaves_out_what_is_not_committed(tmp_path: Path) -> None:
    """A writer in the middle of its transaction neither blocks the copy nor shows in it."""
    source, target = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    make(source, 3)
    with closing(sqlite3.connect(source)) as writer:
        writer.execute("INSERT INTO t VALUES (99)")
        snapshot.copy(source, target)
        writer.commit()
    assert rows(target) == [0, 1, 2]
    assert rows(source) == [0, 1, 2, 99]


def test_a_copy_holds_what_is_in_the_write_ahead_log_only(tmp_path: Path) -> None:
    """A commit that has not reached the main file is a commit."""
    source, target = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    make(source, 3)
    with closing(sqlite3.connect(source)) as open_writer:
        open_writer.execute("PRAGMA wal_autocheckpoint = 0")
        open_writer.execute("INSERT INTO t VALUES (3)")
        open_writer.commit()
        assert (tmp_path / "a.sqlite-wal").stat().st_size > 0
        snapshot.copy(source, target)
    assert rows(target) == [0, 1, 2, 3]


def test_a_sealed_copy_is_one_small_file(tmp_path: Path) -> None:
    """No log lies beside it, and the pages of what was deleted are gone."""
    source, target = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    make(source, 50_000)
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("DELETE FROM t WHERE n > 5")
        connection.commit()
    snapshot.copy(source, target)
    before = target.stat().st_size
    snapshot.seal(target)
    assert target.stat().st_size < before / 10
    assert sorted(path.name for path in tmp_path.glob("b.*")) == ["b.sqlite"]
    assert rows(target) == [0, 1, 2, 3, 4, 5]


def test_the_copy_of_a_catalog_opens_as_one(tmp_path: Path) -> None:
    """What was ingested is there, with its vectors, and the original goes on by itself."""
    source, target = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    with Catalog.open(f"sqlite:///{source}") as catalog:
        catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
        kept = ingest(catalog, "kept", count=3)
        snapshot.copy(source, target)
        catalog.delete_video("default", kept.id)
    snapshot.seal(target)
    with Catalog.open(f"sqlite:///{target}") as copied:
        assert copied.get_video("default", kept.id) == kept
        collection = copied.get_collection("default")
        assert len(copied.changes_since(collection.id, 0)) == 3
