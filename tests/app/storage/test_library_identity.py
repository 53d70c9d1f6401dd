"""Library identity: which catalog opens beside which data folder."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from app.catalog import Catalog
from app.catalog.records import NewVideo
from app.settings import Settings
from app.storage import library_identity
from app.storage.errors import IdentityMismatch
from app.storage.library_identity import adopt, note_progress, open_catalog
from app.storage.media_store import content_key

SHA = "ab" * 32


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose data folder is a library that has been opened once."""
    made = Settings(data_dir=tmp_path / "data")
    open_catalog(made).close()
    return made


def add_video(catalog: Catalog, settings: Settings, sha256: str = SHA) -> None:
    """A video with a job, and its file."""
    if not catalog.list_collections(limit=1).items:
        catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
    catalog.add_video_with_job("default", NewVideo("a.mp4", "video/mp4", 3, sha256, {}))
    file = settings.data_dir / content_key(sha256)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"abc")


def without_identity(settings: Settings) -> None:
    """Make it what an earlier version of the program left."""
    settings.layout.identity.unlink()
    with Catalog.open(settings.catalog_url) as catalog, catalog._write() as connection:
        connection.exec_driver_sql("DELETE FROM secrets WHERE name = 'library_id'")


def test_a_new_library_gets_one_id_and_opens_again(settings: Settings):
    found = library_identity.read(settings.layout)
    with open_catalog(settings) as catalog:
        assert found is not None
        assert catalog.library_id() == found.library_id
        assert found.is_paired


def test_a_catalog_of_another_folder_is_refused(settings: Settings, tmp_path: Path):
    other = Settings(data_dir=tmp_path / "other")
    open_catalog(other).close()
    mixed = replace_url(settings, other.catalog_url)
    with pytest.raises(IdentityMismatch, match="belongs to another data folder"):
        open_catalog(mixed)


def replace_url(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": url})


def test_a_new_catalog_elsewhere_is_refused_and_not_made(settings: Settings, tmp_path: Path):
    """The command that once removed every video: an empty catalog beside a live folder."""
    file = tmp_path / "elsewhere" / "new.sqlite"
    with pytest.raises(IdentityMismatch, match="is not there"):
        open_catalog(replace_url(settings, f"sqlite:///{file}"))
    assert not file.exists()


@pytest.mark.parametrize("loss", ["removed", "emptied"])
def test_a_lost_catalog_is_missed_and_not_replaced(settings: Settings, loss: str):
    for path in settings.data_dir.glob("catalog.sqlite*"):
        path.unlink()
    if loss == "emptied":
        settings.layout.catalog.touch()
    with pytest.raises(IdentityMismatch, match="is empty" if loss == "emptied" else "is not there"):
        open_catalog(settings)
    assert not settings.layout.catalog.exists() or settings.layout.catalog.stat().st_size == 0


def test_a_catalog_with_tables_and_nothing_in_them_is_refused(settings: Settings):
    for path in settings.data_dir.glob("catalog.sqlite*"):
        path.unlink()
    Catalog.open(settings.catalog_url).close()
    with pytest.raises(IdentityMismatch, match="the catalog is empty"):
        open_catalog(settings)


def test_an_empty_folder_beside_a_catalog_is_refused(settings: Settings, tmp_path: Path):
    """A volume that is not mounted, or a second API with a folder of its own."""
    second = Settings(data_dir=tmp_path / "unmounted", database_url=settings.catalog_url)
    with pytest.raises(IdentityMismatch, match="belongs to another data folder"):
        open_catalog(second)


def test_an_older_copy_of_the_catalog_is_refused(settings: Settings, tmp_path: Path):
    with open_catalog(settings) as catalog:
        add_video(catalog, settings)
    shutil.copy(settings.layout.catalog, tmp_path / "yesterday")
    with open_catalog(settings) as catalog:
        add_video(catalog, settings, "cd" * 32)
        note_progress(catalog, settings.layout)
    for path in settings.data_dir.glob("catalog.sqlite*"):
        path.unlink()
    shutil.copy(tmp_path / "yesterday", settings.layout.catalog)
    with pytest.raises(IdentityMismatch, match="the catalog is older"):
        open_catalog(settings)


@pytest.mark.parametrize("since", ["a key was made", "a key was revoked"])
def test_a_catalog_from_before_a_change_of_keys_is_refused(
    settings: Settings, tmp_path: Path, since: str
):
    """It would let in everybody, or those whose key was taken; adopted it is let in as it is."""
    with open_catalog(settings) as catalog:
        key = None if "made" in since else catalog.create_key("n", "admin", b"h").id
    shutil.copy(settings.layout.catalog, tmp_path / "older")
    with open_catalog(settings) as catalog:
        if key is None:
            catalog.create_key("n", "admin", b"h")
        else:
            catalog.revoke_key(key)
        note_progress(catalog, settings.layout)
    open_catalog(settings).close()
    shutil.copy(tmp_path / "older", settings.layout.catalog)
    with pytest.raises(IdentityMismatch, match=r"it has \d API keys, 0 of them revoked"):
        open_catalog(settings)
    with Catalog.open(settings.catalog_url) as catalog:
        adopt(catalog, settings.layout)
    open_catalog(settings).close()


def test_a_library_of_an_earlier_version_gets_an_id(settings: Settings):
    with open_catalog(settings) as catalog:
        add_video(catalog, settings)
    without_identity(settings)
    open_catalog(settings).close()
    found = library_identity.read(settings.layout)
    assert found is not None
    assert found.latest_job is not None


def test_an_earlier_librarys_catalog_without_its_files_is_refused(settings: Settings):
    with open_catalog(settings) as catalog:
        add_video(catalog, settings)
    without_identity(settings)
    shutil.rmtree(settings.layout.media)
    with pytest.raises(IdentityMismatch, match="none of the catalog's videos"):
        open_catalog(settings)


@pytest.mark.parametrize("folder", ["media", "tensors", "uploads"])
def test_an_earlier_librarys_files_without_their_catalog_are_refused(
    settings: Settings, folder: str
):
    without_identity(settings)
    file = settings.data_dir / folder / "ab" / "file"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"abc")
    with pytest.raises(IdentityMismatch, match="holds videos"):
        open_catalog(settings)


@pytest.mark.parametrize("catalog_has_it", [False, True])
def test_a_pairing_that_was_cut_off_is_completed(settings: Settings, catalog_has_it: bool):
    """The folder's file is written first: a process that dies after it leaves it unpaired."""
    found = library_identity.read(settings.layout)
    assert found is not None
    if not catalog_has_it:
        without_identity(settings)
    library_identity._write(settings.layout, replace(found, is_paired=False))
    with open_catalog(settings) as catalog:
        assert catalog.library_id() == found.library_id
    assert library_identity.read(settings.layout) == found


def test_many_processes_that_open_a_new_library_agree(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "data")
    errors: list[Exception] = []

    def start() -> None:
        try:
            open_catalog(settings).close()
        except Exception as error:  # noqa: BLE001  shown by the assert
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("text", ["", "{", "[]", '{"library_id": 1}', '{"other": 2}'])
def test_a_damaged_identity_is_an_error_that_names_the_file(settings: Settings, text: str):
    settings.layout.identity.write_text(text)
    with pytest.raises(IdentityMismatch, match=r"identity\.json is damaged"):
        open_catalog(settings)


def test_a_folder_that_goes_away_while_the_service_runs_is_noticed(settings: Settings):
    with open_catalog(settings) as catalog:
        settings.layout.identity.unlink()
        with pytest.raises(IdentityMismatch, match="mounted"):
            note_progress(catalog, settings.layout)


@pytest.fixture
def mixed(settings: Settings, tmp_path: Path) -> Settings:
    """The folder of one library with the catalog of another."""
    other = Settings(data_dir=tmp_path / "other")
    open_catalog(other).close()
    return replace_url(settings, other.catalog_url)


def test_adopted_they_are_a_pair(mixed: Settings):
    with Catalog.open(mixed.catalog_url) as catalog:
        adopt(catalog, mixed.layout)
    open_catalog(mixed).close()
