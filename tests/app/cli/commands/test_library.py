"""`collections`, `videos`, `label-sets`, `jobs` and `export` against a running service."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import Result

from tests.app.conftest import write_clip
from xclip_search import Client

RunCommand = Callable[..., Result]
COLLECTION = "kept"


@pytest.fixture(scope="module")
def videos(running_service: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Ids by file name of a collection's two videos: one that can be found, one that is none."""
    folder = tmp_path_factory.mktemp("videos")
    broken = folder / "broken.mp4"
    broken.write_bytes(b"no video" * 99)
    with Client(running_service) as client:
        client.put_collection(COLLECTION, metadata={"of": "tests"})
        good = write_clip(folder / "good.mp4", seconds=2.0, seed=7)
        sent = [
            client.upload(file, collection=COLLECTION, metadata={"n": 1}) for file in (good, broken)
        ]
        ended = [client.wait(each.job.id).status for each in sent]
    assert ended == ["succeeded", "failed"]
    return {each.video.filename: each.video.id for each in sent}


@pytest.fixture
def run(command: RunCommand, running_service: str) -> Callable[..., str]:
    """Runs a command on the service and returns what it prints; it succeeds."""

    def run(*arguments: object, exit_code: int = 0) -> str:
        result = command(*arguments, "--url", running_service)
        assert result.exit_code == exit_code, result.output
        return result.output

    return run


def objects(printed: str) -> list[dict[str, Any]]:
    """What --json prints: an object a line."""
    return [json.loads(line) for line in printed.splitlines()]


def test_a_collection_from_making_to_deletion(run: Callable[..., str]) -> None:
    """Made with a cut of its own, described, listed, and gone once that is confirmed."""
    made = run("collections", "create", "brief", "--window", 2, "--stride", 1)
    assert made.strip() == "brief: segments of 2 s every 1 s"
    assert '"a": 1' in run("collections", "describe", "brief", '{"a": 1}')
    row = next(line for line in run("collections").splitlines() if line.startswith("brief"))
    assert row.split()[-6:] == ["0", "0", "2", "s", "1", "s"]
    names = [each["name"] for each in objects(run("collections", "--json"))]
    assert names == sorted(names)
    assert "Delete brief and its 0 videos?" in run("collections", "delete", "brief", exit_code=1)
    assert "Deleted." in run("collections", "delete", "brief", "--yes")
    assert "collection_not_found" in run("collections", "delete", "brief", "--yes", exit_code=1)


def test_videos_are_listed_with_what_became_of_them(
    run: Callable[..., str], videos: dict[str, str]
) -> None:
    """Length, size and status, and why one failed; --status leaves the others out."""
    listed = run("videos", "--collection", COLLECTION).splitlines()
    good = next(line for line in listed if "good.mp4" in line)
    assert good.split()[:4] == [videos["good.mp4"], "good.mp4", "ready", "0:02.0"]
    assert any("broken.mp4" in line and "failed" in line and line.endswith(".") for line in listed)
    only = objects(run("videos", "--collection", COLLECTION, "--status", "failed", "--json"))
    assert [video["filename"] for video in only] == ["broken.mp4"]


def test_a_video_is_shown_described_and_deleted(
    run: Callable[..., str], collection: str, running_service: str, tmp_path: Path
) -> None:
    """What is noted with it is what filters see; a heat map has a bar a stretch."""
    clip = write_clip(tmp_path / "one.mp4", seconds=2.0, seed=8)
    run("ingest", clip, "--collection", collection)
    place = ("--collection", collection)
    (video,) = objects(run("videos", *place, "--json"))
    assert json.loads(run("videos", "show", video["id"], *place))["filename"] == "one.mp4"
    heat = run("videos", "show", video["id"], "--text", "a red square", *place).splitlines()
    assert heat[0].split() == ["moment", "score"]
    assert all("█" in line for line in heat[1:])
    assert heat[1].startswith("0:00.0–")
    run("videos", "describe", video["id"], '{"camera": "east"}', *place)
    found = run("search", "a square", "--filter", '{"camera": "east"}', *place)
    assert "one.mp4" in found
    assert "Delete one.mp4?" in run("videos", "delete", video["id"], *place, exit_code=1)
    assert json.loads(run("videos", "show", video["id"], *place))["status"] == "ready"
    assert "Deleted." in run("videos", "delete", video["id"], *place, "--yes")
    assert run("videos", *place, "--json") == ""


def test_label_sets_are_kept(run: Callable[..., str], tmp_path: Path) -> None:
    """From arguments or a file, which is UTF-8; what is put again replaces."""
    assert run("label-sets", "put", "moves", "left", "right").strip() == "moves: 2 labels"
    file = tmp_path / "labels.txt"
    file.write_bytes("gr\u00fcn\nrot".encode("latin-1"))
    run("label-sets", "put", "moves", "--file", file, exit_code=1)
    file.write_bytes(b"\xef\xbb\xbfup\n\ndown\nleft\n")  # as Windows' editors begin a file
    run("label-sets", "put", "moves", "--file", file, "--template", "a square moves {}")
    assert run("label-sets", "show", "moves").split() == ["up", "down", "left"]
    row = next(line for line in run("label-sets").splitlines() if line.startswith("moves"))
    assert row.split() == ["moves", "3", "a", "square", "moves", "{}"]
    run("label-sets", "put", "moves", exit_code=2)
    run("label-sets", "delete", "moves")
    assert "label_set_not_found" in run("label-sets", "show", "moves", exit_code=1)


def test_jobs_are_listed_watched_and_repeated(
    run: Callable[..., str], videos: dict[str, str]
) -> None:
    """A failed one says why; --watch returns when nothing is left to do."""
    (failed,) = objects(run("jobs", "--collection", COLLECTION, "--status", "failed", "--json"))
    assert failed["video_id"] == videos["broken.mp4"]
    assert "(unreadable_video)" in run("jobs", "--collection", COLLECTION)
    assert run("jobs", "retry", failed["id"]).strip() == "queued"
    watched = run("jobs", "--watch", "--collection", COLLECTION)
    assert "queued" not in watched.splitlines()[-1]
    assert "job_state_conflict" in run("jobs", "cancel", failed["id"], exit_code=1)


def test_every_format_holds_the_same(
    run: Callable[..., str], videos: dict[str, str], tmp_path: Path, running_service: str
) -> None:
    """A row a segment: its vector, its times and its video's metadata."""
    place = ("--collection", COLLECTION)
    with Client(running_service) as client:
        segments = client.segments(videos["good.mp4"], collection=COLLECTION)
    for suffix in ("parquet", "jsonl", "npz"):
        assert "segments in" in run("export", tmp_path / f"kept.{suffix}", *place)
    lines = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert [line["segment_id"] for line in lines] == [segment.id for segment in segments]
    assert [line["end"] for line in lines] == [segment.end for segment in segments]
    assert lines[0]["metadata"] == {"n": 1}
    arrays = np.load(tmp_path / "kept.npz")
    vectors = np.array([line["embedding"] for line in lines], np.float32)
    np.testing.assert_array_equal(arrays["embedding"], vectors)
    assert np.linalg.matrix_rank(vectors) > 1  # they differ
    assert arrays["start"].tolist() == [line["start"] for line in lines]
    rows = pq.read_table(tmp_path / "kept.parquet").to_pylist()
    np.testing.assert_array_equal(np.array([row["embedding"] for row in rows], "f4"), vectors)
    assert [json.loads(row["metadata"]) for row in rows] == [{"n": 1}] * len(rows)
    assert {path.name for path in tmp_path.iterdir()} == {
        "kept.parquet",
        "kept.jsonl",
        "kept.npz",
    }


def test_what_cannot_be_exported_is_refused(
    run: Callable[..., str], tmp_path: Path, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A format nobody knows, a video that is not there, Parquet without pyarrow; an old file stays.

    Nothing to export makes an empty file of the same shape.
    """
    file = tmp_path / "kept.jsonl"
    file.write_text("precious")
    run("export", tmp_path / "kept.csv", exit_code=2)
    missing = run("export", file, "--video", "vid_none", exit_code=1)
    assert "video_not_found" in missing
    assert file.read_text() == "precious"
    run("export", tmp_path / "none.npz", "--collection", collection)
    assert np.load(tmp_path / "none.npz")["embedding"].shape == (0, 0)
    run("export", tmp_path / "none.parquet", "--collection", collection)
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = run("export", tmp_path / "a.parquet", exit_code=1)
    assert "pip install 'xclip-search[parquet]'" in refused
