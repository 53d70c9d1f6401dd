"""Partial uploads: each store passes the contract, and a folder's writes come in a safe order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.data_layout import DataLayout
from app.storage.composition import Storage, open_storage
from app.storage.partial_uploads import PartialUploadStore
from tests.app.storage.memory_partial_uploads import MemoryPartialUploads
from tests.app.storage.partial_upload_contract import PartialUploadContract


class TestFolderPartialUploads(PartialUploadContract):
    """The store that the service uses."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> PartialUploadStore:
        return open_storage(DataLayout(tmp_path), writer_id="test").partial_uploads


class TestMemoryPartialUploads(PartialUploadContract):
    """A toy."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> PartialUploadStore:
        return MemoryPartialUploads()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """The stores of a folder, with one upload of no bytes."""
    opened = open_storage(DataLayout(tmp_path), writer_id="test")
    opened.partial_uploads.create("upl_a")
    return opened


def test_the_folder_copies_nothing(storage: Storage):
    """An adopted upload is its own file under a second name."""
    with (
        storage.partial_uploads.open("upl_a") as partial,
        partial.adopt_into(storage.media) as received,
    ):
        assert received.path.samefile(storage.layout.uploads / "upl_a")


def test_a_removed_upload_is_gone_with_its_mark(storage: Storage):
    """Nothing of it stays in the folder."""
    with storage.partial_uploads.open("upl_a") as partial:
        partial.begin_unchecked()
        storage.partial_uploads.remove("upl_a")
    assert list(storage.layout.uploads.iterdir()) == []


def test_bytes_are_synced_before_they_count(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    """The mark is on the disk before the bytes it is about, and goes after they are safe."""
    synced: list[tuple[str, bool]] = []
    uploads = storage.layout.uploads

    def note(file: int) -> None:
        name = Path(f"/proc/self/fd/{file}").readlink().name
        synced.append((name, (uploads / "upl_a.checked").exists()))

    monkeypatch.setattr(os, "fsync", note)
    with storage.partial_uploads.open("upl_a") as partial:
        partial.begin_unchecked()
        partial.write(b"right")
        partial.end_unchecked()
    assert synced == [
        ("upl_a.checked", True),
        ("uploads", True),
        ("upl_a", True),
        ("uploads", False),
    ]
