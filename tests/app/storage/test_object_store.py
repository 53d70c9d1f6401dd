"""Object stores: each implementation passes the contract, and a media store works over any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.data_layout import DataLayout
from app.storage.folder_store import FolderObjectStore
from app.storage.media_store import MediaStore, thumbnail_key
from app.storage.object_store import ObjectStore
from tests.app.storage.contract import ObjectStoreContract
from tests.app.storage.memory_store import MemoryObjectStore


def folder_store(folder: Path) -> FolderObjectStore:
    (folder / "tmp").mkdir()
    (folder / "root").mkdir()
    return FolderObjectStore(folder / "root", trash=folder / "tmp")


class TestFolderStore(ObjectStoreContract):
    """The store that the service uses."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return folder_store(tmp_path)


class TestMemoryStore(ObjectStoreContract):
    """A toy."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return MemoryObjectStore()


def test_a_file_that_is_being_written_is_no_object(tmp_path: Path):
    """What a killed process left beside an object is not listed, and goes with its folder."""
    store = folder_store(tmp_path)
    store.put("a/b", b"whole")
    (tmp_path / "root" / "a" / ".b-0123").write_bytes(b"half")
    assert list(store.list("")) == ["a/b"]
    store.delete_prefix("a/")
    assert list(tmp_path.rglob(".b-*")) == []


def test_the_folder_store_copies_nothing(tmp_path: Path):
    """A local copy is the object's own file, and a file that is handed over keeps its inode."""
    store = folder_store(tmp_path)
    file = tmp_path / "incoming"
    file.write_bytes(b"large")
    inode = file.stat().st_ino
    store.put_file("a/b", file)
    with store.local_copy("a/b") as path:
        assert path.stat().st_ino == inode


def test_a_deletion_that_was_interrupted_is_finished(tmp_path: Path):
    """What lies in the trash goes with the next deletion of that prefix, or with a sweep."""
    store = folder_store(tmp_path)
    for name in ("removed-a-01", "removed-b-02"):
        (tmp_path / "tmp" / name).mkdir()
    store.delete_prefix("x/a/")
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["removed-b-02"]
    assert store.sweep() == 1


def test_a_sync_reaches_every_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Files that are there, the folders that name them, and the trash for a prefix that went."""
    store = folder_store(tmp_path)
    store.put("a/b/1", b"")
    store.put("a/b/2", b"")
    synced: list[Path] = []
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").readlink())
    )
    store.sync(["a/b/1", "a/b/2", "a/c/", "a/b/none"])
    names = [str(path.relative_to(tmp_path)) for path in synced]
    assert sorted(names) == ["root", "root/a", "root/a/b", "root/a/b/1", "root/a/b/2", "tmp"]
    assert names.index("root/a/b") < names.index("root/a") < names.index("root")


def test_a_media_store_needs_no_folder_of_objects(tmp_path: Path):
    """Over another store it keeps content and pictures alike; only its `tmp` is a folder."""
    layout = DataLayout(tmp_path)
    layout.tmp.mkdir()
    media = MediaStore(layout, MemoryObjectStore())
    with media.receive(10) as incoming, media.exclusive():
        incoming.write(b"bytes")
        stored = incoming.sync()
        media.keep(incoming, stored)
    media.write_thumbnail("vid_a", 0, b"picture")
    media.sync_thumbnails("vid_a")
    assert list(media.contents()) == [stored.sha256]
    assert media.content_bytes(stored.sha256) == 5
    assert media.objects.read(thumbnail_key("vid_a", 0)) == b"picture"
    assert media.thumbnail_bytes() == {"vid_a": 7}
    media.remove_thumbnails("vid_a")
    media.remove_content(stored.sha256)
    assert list(media.objects.list("")) == []
