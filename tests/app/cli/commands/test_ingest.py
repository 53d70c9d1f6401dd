"""`xclip-search ingest` against a running service."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import Result

from app.catalog.uploads import MAX_FURTHER_NAMES
from app.cli.commands.ingest import _FURTHER_NAMES, items_of
from app.cli.folder_scan import FolderScan
from app.cli.ingest_view import IngestView
from xclip_search import Client, schemas

RunCommand = Callable[..., Result]
MakeClip = Callable[..., Path]


@pytest.fixture
def ingest(command: RunCommand, running_service: str, collection: str) -> RunCommand:
    """Ingests into the test's own collection."""

    def run(*paths: object) -> Result:
        return command("ingest", *paths, "--collection", collection, "--url", running_service)

    return run


def counts(result: Result) -> dict[str, int]:
    """The closing table: how many became searchable, were there already, failed."""
    names = ("searchable", "already there", "failed")
    lines = [line.rsplit(maxsplit=1) for line in result.output.splitlines() if line.strip()]
    found = {line[0].strip(): line[1] for line in lines if len(line) == 2}
    return {name: int(found[name]) for name in names}


def stored(url: str, collection: str) -> dict[str, dict[str, Any]]:
    """The collection's videos by file name."""
    answer = httpx.get(f"{url}/v1/collections/{collection}/videos", trust_env=False, timeout=120)
    return {video["filename"]: video for video in answer.json()["items"]}


def test_a_folder_becomes_searchable(
    ingest: RunCommand, make_clip: MakeClip, tmp_path: Path, running_service: str, collection: str
) -> None:
    """The videos of a folder and of those in it are sent, and nothing else; they end ready."""
    (tmp_path / "deeper").mkdir()
    make_clip("one.mp4", seconds=1, seed=1)
    make_clip("deeper/two.MKV", seconds=1, seed=2)
    (tmp_path / "notes.txt").write_text("not a video")
    result = ingest(tmp_path)
    assert result.exit_code == 0, result.output
    assert counts(result) == {"searchable": 2, "already there": 0, "failed": 0}
    videos = stored(running_service, collection)
    assert {name: video["status"] for name, video in videos.items()} == {
        "one.mp4": "ready",
        "two.MKV": "ready",
    }


def test_failures_are_listed_and_stop_nothing(
    ingest: RunCommand, make_clip: MakeClip, tmp_path: Path
) -> None:
    """A broken file, an empty one and a pipe cost status 1 and a line each with its code."""
    broken, empty = tmp_path / "a-broken.mp4", tmp_path / "b-empty.mp4"
    os.mkfifo(pipe := tmp_path / "b-pipe.mp4")
    broken.write_bytes(b"this is no video" * 100)
    empty.touch()
    good = make_clip("c-good.mp4", seconds=1, seed=3)
    result = ingest(broken, empty, pipe, good)
    assert result.exit_code == 1
    assert counts(result) == {"searchable": 1, "already there": 0, "failed": 3}
    lines = {code: line for line in result.output.splitlines() for code in line.split()}
    assert "a-broken.mp4" in lines["unreadable_video"]
    assert "b-empty.mp4" in lines["invalid_request"]
    assert "b-pipe.mp4" in lines["unreadable_file"]


def test_the_same_bytes_count_as_already_there(
    ingest: RunCommand, make_clip: MakeClip, tmp_path: Path, running_service: str, collection: str
) -> None:
    """A copy within a run, and the whole run again, add nothing."""
    first = make_clip("first.mp4", seconds=1, seed=4)
    shutil.copy(first, tmp_path / "copy.mp4")
    assert counts(ingest(tmp_path)) == {"searchable": 1, "already there": 1, "failed": 0}
    again = ingest(first)
    assert again.exit_code == 0
    assert counts(again) == {"searchable": 0, "already there": 1, "failed": 0}
    assert len(stored(running_service, collection)) == 1


def test_the_same_command_again_sends_nothing(
    ingest: RunCommand, make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the service holds is known by its bytes; only what is new or failed is sent."""
    for seed in (5, 6):
        make_clip(f"{seed}.mp4", seconds=1, seed=seed)
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 50)
    assert counts(ingest(tmp_path)) == {"searchable": 2, "already there": 0, "failed": 1}
    make_clip("7.mp4", seconds=1, seed=7)
    sent = []
    upload = Client.upload

    def noted(client: Client, file: Path, *rest: Any, **choices: Any) -> Any:
        sent.append(file.name)
        return upload(client, file, *rest, **choices)

    monkeypatch.setattr(Client, "upload", noted)
    assert counts(ingest(tmp_path)) == {"searchable": 1, "already there": 2, "failed": 1}
    assert sent == ["7.mp4", "broken.mp4"]


def test_known_bytes_get_the_place_and_the_name_that_they_lacked(
    ingest: RunCommand, make_clip: MakeClip, tmp_path: Path, running_service: str, collection: str
) -> None:
    """Sent as a file, found in a folder, renamed there: nothing of it is lost, nor sent twice."""
    clip = make_clip("a.mp4", seconds=1, seed=8)
    assert counts(ingest(clip))["searchable"] == 1
    place = {"path": f"{tmp_path.name}/a.mp4"}
    assert counts(ingest(tmp_path))["already there"] == 1
    (video,) = stored(running_service, collection).values()
    assert (video["metadata"], video["further_names"]) == (place, [])
    clip.rename(tmp_path / "b.mp4")
    for _ in range(2):
        assert counts(ingest(tmp_path))["already there"] == 1
        (video,) = stored(running_service, collection).values()
        assert (video["metadata"], video["further_names"]) == (place, ["b.mp4"])


def test_the_most_names_are_those_that_the_service_keeps() -> None:
    """A command that expected more would send such a file each time."""
    assert _FURTHER_NAMES == MAX_FURTHER_NAMES


def test_what_is_being_worked_on_has_a_row() -> None:
    """The file on its way with its bytes, running jobs with stage, share and time left; no more."""
    job = schemas.JobAnswer.model_construct(progress=0.25, stage="encode", eta_s=62.0)
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with IngestView(console, 4_000_000, 5) as view:
        view.sends("big.mp4")
        view.arrived(2_000_000)
        view.show(1, [("/videos/first.mp4", job)], 3)
        shown = Console(record=True, width=100, file=io.StringIO())
        shown.print(view._render())
        text = shown.export_text()
    assert "2.0 MB of 4.0 MB" in text
    assert "1 videos of 5 videos" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["big.mp4"] == ["sending", "2.0", "MB"]
    assert rows["first.mp4"] == ["encode", "25%", "1:02.0", "left"]
    assert "3 waiting in the queue" in text


def test_a_refusal_is_a_failure_of_that_file(
    command: RunCommand, make_clip: MakeClip, running_service: str
) -> None:
    """A collection that does not exist fails the file under the service's own code."""
    clip = make_clip(seconds=1)
    result = command("ingest", clip, "--collection", "nowhere", "--url", running_service)
    assert result.exit_code == 1
    assert "collection_not_found" in result.output


def test_urls_are_fetched_by_the_service(
    ingest: RunCommand, make_clip: MakeClip, tmp_path: Path
) -> None:
    """They are handed on as they are; this service fetches none, and says how it would."""
    make_clip(seconds=1, seed=9)
    result = ingest(tmp_path, "https://videos.example.org/a%20b.mp4?c=d")
    assert result.exit_code == 1
    assert counts(result) == {"searchable": 1, "already there": 0, "failed": 1}
    line = next(line for line in result.output.splitlines() if "url_ingest_off" in line)
    assert "https://videos" in line


def test_urls_are_told_from_paths(tmp_path: Path) -> None:
    """By their scheme; each once, after the files."""
    (tmp_path / "a.mp4").touch()
    urls = ["http://a.example/x//y", "HTTPS://a.example/"]
    found = items_of([*urls, str(tmp_path), urls[0]], FolderScan())
    assert [item.source for item in found] == [tmp_path / "a.mp4", *urls]


def test_no_service_is_said_in_a_line(
    command: RunCommand, make_clip: MakeClip, free_port: int
) -> None:
    """Nobody at the URL: what to do about it, status 1, no traceback."""
    result = command("ingest", make_clip(seconds=1), "--url", f"http://127.0.0.1:{free_port}")
    assert result.exit_code == 1
    assert "xclip-search serve" in result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("content", [[], ["notes.txt"]])
def test_nothing_to_send_is_an_error(
    ingest: RunCommand, tmp_path: Path, content: list[str]
) -> None:
    """A folder without a video is status 1, as is a path that does not exist."""
    for name in content:
        (tmp_path / name).touch()
    for path in (tmp_path, tmp_path / "missing.mp4"):
        result = ingest(path)
        assert result.exit_code == 1
        assert "error:" in result.output


def test_a_file_named_twice_is_sent_once(tmp_path: Path) -> None:
    """A file in a folder that is named as well counts once; a named file needs no video's name."""
    for name in ("b.mp4", "a.webm", "c.txt"):
        (tmp_path / name).touch()
    found = items_of(
        [str(tmp_path / "b.mp4"), str(tmp_path), str(tmp_path / "c.txt")], FolderScan()
    )
    assert [Path(item.source).name for item in found] == ["b.mp4", "a.webm", "c.txt"]


def test_a_folder_leaves_its_names_with_its_videos_and_says_what_it_skipped(
    ingest: RunCommand,
    running_service: str,
    collection: str,
    tmp_path: Path,
    make_clip: MakeClip,
) -> None:
    """The path from the folder that was named on is metadata, which filters find."""
    folder = tmp_path / "cameras" / "north"
    folder.mkdir(parents=True)
    make_clip("clip.mp4", seconds=1, seed=77).rename(folder / "clip.mp4")
    for name in ("._clip.mp4", "raw.h264", "notes.txt"):
        (folder / name).write_bytes(b"x")
    result = ingest(tmp_path / "cameras")
    assert result.exit_code == 0, result.output
    assert "1 skipped: hidden or the system's own" in result.output
    assert "1 skipped: of a video format that is not read here" in result.output
    assert "1 skipped: not named like a video" in result.output
    video = stored(running_service, collection)["clip.mp4"]
    assert video["metadata"] == {"path": "cameras/north/clip.mp4"}
