"""Backups: made beside a busy service, whole or not there, and restored to the same answers."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import build_cli
from app.maintenance.backup import back_up
from app.maintenance.file_copy import MANIFEST, Manifest
from app.maintenance.restore import restore
from app.maintenance.verify import verify
from app.settings import Settings
from app.storage.errors import BackupImpossible, BackupUnusable
from tests.app.conftest import MakeClip, write_clip
from tests.app.maintenance.disk import files_in, flip, work
from tests.app.stack import SEARCH, VIDEOS, Stack, open_stack
from xclip.encoder import Encoder


def scores(stack: Stack, videos: set[str]) -> dict[str, float]:
    body = {"text": "a red square moves", "top_k": 200}
    results = stack.api.post(SEARCH, json=body).json()["results"]
    return {each["segment_id"]: each["score"] for each in results if each["video_id"] in videos}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """A backup of two videos, one of them uploaded and waiting; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    with open_stack(folder / "data", encoder) as stack:
        stack.ingest(write_clip(folder / "a.mp4", seconds=1.5, seed=1))
        stack.upload(write_clip(folder / "b.mp4", seconds=1.0, seed=2))
        assert stack.catalog.claim_job("a worker that dies", 3600) is not None
        back_up(stack.settings, folder / "backup")
    return folder / "backup"


def test_a_backup_of_a_busy_service_is_whole(tmp_path: Path, encoder: Encoder, make_clip: MakeClip):
    """Uploads, ingests and deletions go on meanwhile; what was there before is there again."""
    with open_stack(tmp_path / "data", encoder) as stack:
        kept = {stack.ingest(make_clip(f"{n}.mp4", seconds=2.0, seed=n))["id"] for n in range(2)}
        expected = scores(stack, kept)
        stop, begun = threading.Event(), threading.Event()

        def come_and_go() -> None:
            number = 10
            while not stop.is_set():
                video = stack.ingest(make_clip(f"{number}.mp4", seconds=1.0, seed=number))
                if number > 10:
                    begun.set()
                if number % 2:
                    stack.api.delete(f"{VIDEOS}/{video['id']}")
                number += 1

        thread = threading.Thread(target=come_and_go)
        thread.start()
        assert begun.wait(60)
        result = back_up(stack.settings, tmp_path / "backup")
        stop.set()
        thread.join()
        assert result.missing == []
    assert [path.name for path in tmp_path.glob(".*")] == []
    settings = Settings(data_dir=tmp_path / "again")
    restore(tmp_path / "backup", settings)
    with open_stack(tmp_path / "again", encoder) as stack:
        work(stack)
        report = verify(stack.catalog, stack.storage)
        assert (report.damage, report.orphans, report.pending_removals) == ([], [], 0)
        assert report.videos >= 2
        assert scores(stack, kept) == expected


def test_jobs_that_ran_wait_again(made: Path, tmp_path: Path, encoder: Encoder):
    """Their worker holds nothing in the restored folder; no attempt is counted."""
    restore(made, Settings(data_dir=tmp_path / "data"))
    with open_stack(tmp_path / "data", encoder) as stack:
        (job,) = stack.catalog.list_jobs(status="queued").items
        assert job.attempts == 0
        work(stack)
        videos = stack.api.get(VIDEOS).json()["items"]
        assert [video["status"] for video in videos] == ["ready", "ready"]


def test_what_was_deleted_is_in_no_backup(stack: Stack, make_clip: MakeClip, tmp_path: Path):
    """Neither what is erased already nor what nothing refers to any more."""
    stack.ingest(make_clip("a.mp4", seconds=1.0, seed=1))
    gone = stack.ingest(make_clip("b.mp4", seconds=3.0, seed=2))
    back_up(stack.settings, tmp_path / "with")
    stack.catalog.delete_video("default", gone["id"])  # and nothing is removed yet
    back_up(stack.settings, tmp_path / "without")
    sizes = {
        name: sum(
            len((tmp_path / name / path).read_bytes().replace(b"\0", b""))
            for path in files_in(tmp_path / name)
            if path.startswith("tensors/")
        )
        for name in ("with", "without")
    }
    assert 0 < sizes["without"] < sizes["with"] / 2
    assert gone["sha256"] not in "".join(files_in(tmp_path / "without"))
    assert b"b.mp4" in (tmp_path / "with" / "catalog.sqlite").read_bytes()
    assert b"b.mp4" not in (tmp_path / "without" / "catalog.sqlite").read_bytes()


def test_a_changed_backup_is_refused(made: Path, tmp_path: Path):
    """Whatever file differs or is missing, nothing is restored."""
    for path in files_in(made):
        copy = tmp_path / "backup"
        shutil.copytree(made, copy)
        if path == MANIFEST:
            (copy / path).write_text("{}")
        elif path.startswith("media/"):
            (copy / path).unlink()
        else:
            flip(copy / path, (copy / path).stat().st_size // 2)
        with pytest.raises(BackupUnusable):
            restore(copy, Settings(data_dir=tmp_path / "data"))
        shutil.rmtree(copy)
        assert list(tmp_path.iterdir()) == []


def test_a_manifest_leads_nowhere_else(made: Path, tmp_path: Path):
    """Names that leave the folder are refused before anything is read."""
    (tmp_path / MANIFEST).write_text(
        (made / MANIFEST).read_text().replace("catalog.sqlite", "../catalog.sqlite")
    )
    with pytest.raises(BackupUnusable, match="outside"):
        Manifest.read(tmp_path)


def test_nothing_is_overwritten(made: Path, tmp_path: Path):
    """A backup makes its folder, a restore fills an empty one; PostgreSQL has its own tools."""
    (tmp_path / "data").mkdir()
    restore(made, Settings(data_dir=tmp_path / "data"))
    with pytest.raises(BackupImpossible, match="not empty"):
        restore(made, Settings(data_dir=tmp_path / "data"))
    with pytest.raises(BackupImpossible, match="exists"):
        back_up(Settings(data_dir=tmp_path / "data"), made)
    elsewhere = shutil.copy(tmp_path / "data" / "catalog.sqlite", tmp_path / "elsewhere.sqlite")
    away = Settings(data_dir=tmp_path / "data", database_url=f"sqlite:///{elsewhere}")
    for refused in (lambda: back_up(away, tmp_path / "b"), lambda: restore(made, away)):
        with pytest.raises(BackupImpossible, match="pg_"):
            refused()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "elsewhere.sqlite"]


def test_the_commands_tell_what_they_did_and_what_is_missing(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A file that is gone already does not stop a backup, but it is said and is status 1."""
    data = tmp_path / "data"
    monkeypatch.setenv("XCLIP_DATA_DIR", str(data))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(build_cli(), arguments)

    restored = run("restore", str(made))
    assert restored.exit_code == 0
    assert "all intact" in restored.stdout.replace("\n", " ")
    assert run("backup", str(tmp_path / "one")).exit_code == 0
    (content, *_) = (data / "media").glob("*/*")
    content.unlink()
    second = run("backup", str(tmp_path / "two"))
    assert second.exit_code == 1
    assert content.name in second.stdout.replace("\n", "")
    assert run("restore", str(made)).exit_code == 1
