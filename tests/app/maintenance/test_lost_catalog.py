"""Lost catalog: no command and no start takes a live folder's files for orphans, or for new."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.catalog import Catalog
from app.catalog.database import holds_catalog
from app.cli.main import build_cli
from tests.app.conftest import MakeClip, write_clip
from tests.app.databases import KINDS, new_database
from tests.app.maintenance.disk import files_in
from tests.app.stack import open_stack
from xclip.encoder import Encoder

EXIT_CONFIG = 78


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """A data folder with one video, whose service has ended."""
    folder = tmp_path_factory.mktemp("lost")
    with open_stack(folder / "data", encoder) as stack:
        stack.ingest(write_clip(folder / "clip.mp4", seconds=1.0))
    return folder / "data"


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which the commands' settings name."""
    copied = shutil.copytree(made, tmp_path / "data")
    monkeypatch.setenv("XCLIP_DATA_DIR", str(copied))
    return copied


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(build_cli(), list(arguments), input=stdin)


def videos_and_tensors(folder: Path) -> list[str]:
    return files_in(folder / "media") + files_in(folder / "tensors")


def lose_catalog(folder: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the settings name a catalog that knows none of the folder's videos."""
    if how == "elsewhere":
        other = folder.parent / "elsewhere.sqlite"
        monkeypatch.setenv("XCLIP_DATABASE_URL", f"sqlite:///{other}")
        return
    for path in folder.glob("catalog.sqlite*"):
        path.unlink()
    if how == "emptied":
        (folder / "catalog.sqlite").touch()
    if how == "made anew":
        with sqlite3.connect(folder / "catalog.sqlite") as connection:
            connection.execute("CREATE TABLE empty (id)")


LOSSES = ["elsewhere", "removed", "emptied", "made anew"]


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize("command", [["gc"], ["verify"], ["verify", "--repair"], ["backup", "b"]])
def test_no_command_works_on_a_folder_whose_catalog_is_lost(
    folder: Path, how: str, command: list[str], monkeypatch: pytest.MonkeyPatch
):
    """It ends with an error, and every video is still there."""
    monkeypatch.chdir(folder.parent)
    before = videos_and_tensors(folder)
    lose_catalog(folder, how, monkeypatch)
    ended = run(*command)
    assert ended.exit_code == 1
    assert "catalog" in ended.stderr
    assert videos_and_tensors(folder) == before
    assert not (folder.parent / "b").exists()


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize("command", ["serve", "api", "worker"])
def test_no_process_starts_as_a_new_service_beside_old_files(
    folder: Path, how: str, command: str, monkeypatch: pytest.MonkeyPatch
):
    """It would have no keys, and so let everybody in. It ends with the status of wrong settings."""
    lose_catalog(folder, how, monkeypatch)
    ended = subprocess.run(
        [sys.executable, "-m", "app.cli.main", command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == EXIT_CONFIG, ended.stderr
    assert ended.stderr.startswith("error: the catalog")
    assert "Traceback" not in ended.stderr


def test_gc_refuses_a_catalog_that_is_older_than_the_folder(
    made: Path, folder: Path, encoder: Encoder, make_clip: MakeClip
):
    """Only catalog.sqlite was restored: videos that came later are no orphans."""
    with open_stack(folder, encoder) as stack:
        stack.ingest(make_clip(seconds=1.5))
    before = files_in(folder / "media")
    for path in folder.glob("catalog.sqlite*"):
        path.unlink()
    shutil.copy(made / "catalog.sqlite", folder)
    ended = run("gc")
    assert ended.exit_code == 1
    assert "older" in ended.stderr
    assert files_in(folder / "media") == before


def test_adopt_says_what_would_be_lost_and_asks(folder: Path, monkeypatch: pytest.MonkeyPatch):
    lose_catalog(folder, "made anew", monkeypatch)
    refused = run("adopt", stdin="n\n")
    assert refused.exit_code == 1
    assert "knows 0 videos" in refused.stdout
    assert "holds 1 files that the catalog does not know" in refused.stdout
    assert run("verify").exit_code == 1
    assert run("adopt", "--yes").exit_code == 0
    assert run("verify").exit_code == 0


def test_a_restored_backup_is_a_pair(folder: Path, monkeypatch: pytest.MonkeyPatch):
    assert run("backup", str(folder.parent / "backup")).exit_code == 0
    monkeypatch.setenv("XCLIP_DATA_DIR", str(folder.parent / "restored"))
    assert run("restore", str(folder.parent / "backup")).exit_code == 0
    assert run("verify").exit_code == 0
    assert run("gc").exit_code == 0


def test_a_key_is_made_before_the_first_start_and_holds_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XCLIP_DATA_DIR", str(tmp_path / "new"))
    assert run("keys", "create", "ops", "--scope", "admin").exit_code == 0
    assert "ops" in run("keys", "list").stdout


@pytest.mark.parametrize("command", [["keys", "list"], ["keys", "revoke", "key_1"]])
def test_looking_at_keys_makes_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
):
    monkeypatch.setenv("XCLIP_DATA_DIR", str(tmp_path / "misspelt"))
    ended = run(*command)
    assert ended.exit_code == 1
    assert "there is no catalog" in ended.stderr
    assert not (tmp_path / "misspelt").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_no_command_that_only_looks_makes_a_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    """In an empty database of a server neither, where no file would be missed."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("XCLIP_DATA_DIR", str(tmp_path / "data"))
    with new_database(kind, tmp_path) as url:
        monkeypatch.setenv("XCLIP_DATABASE_URL", url)
        for command in (["keys", "list"], ["verify"], ["gc"], ["backup", str(tmp_path / "b")]):
            ended = run(*command)
            assert ended.exit_code == 1, command
            assert "no_library" in " ".join(ended.stderr.split()), command
        assert not holds_catalog(url)
        Catalog.open(url).close()
        assert holds_catalog(url)
        assert run("keys", "list").exit_code == 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_emptied_database_is_missed_and_stays_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    """The folder knows that there was a catalog."""
    monkeypatch.setenv("XCLIP_DATA_DIR", str(tmp_path / "data"))
    with new_database(kind, tmp_path) as first, new_database(kind, tmp_path / "other") as other:
        monkeypatch.setenv("XCLIP_DATABASE_URL", first)
        assert run("keys", "create", "ops", "--scope", "admin").exit_code == 0
        monkeypatch.setenv("XCLIP_DATABASE_URL", other)
        for command in (["keys", "create", "more", "--scope", "read"], ["gc"]):
            assert run(*command).exit_code == 1, command
        assert not holds_catalog(other)
