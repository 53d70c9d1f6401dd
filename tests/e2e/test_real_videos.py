"""Real clips from many sources, sound and broken, go in over HTTP; the service stays up.

The clips are not part of the repository: XCLIP_TEST_VIDEOS names a folder of them with a
manifest.csv (file, duration_s, frames_decoded); by default ../shared/videos beside the repository.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.service import all_items, running, upload, wait_for_job

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("XCLIP_TEST_VIDEOS", REPOSITORY.parent / "shared" / "videos"))
STABLE_CODES = {
    "unreadable_video",
    "no_video_stream",
    "encrypted",
    "unsupported_codec",
    "no_decodable_frame",
    "too_large",
    "decode_timeout",
    "decoder_crashed",
}

pytestmark = pytest.mark.skipif(
    not (FOLDER / "manifest.csv").is_file(), reason=f"no manifest.csv in {FOLDER}"
)


@dataclass(frozen=True)
class Library:
    client: httpx.Client
    rows: dict[str, dict[str, str]]
    jobs: dict[str, dict[str, Any]]
    videos: dict[str, dict[str, Any]]

    def readable(self) -> list[str]:
        return [name for name, row in self.rows.items() if int(row["frames_decoded"] or 0) > 0]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """All the clips, uploaded to a running service and worked through."""
    with (FOLDER / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    data = tmp_path_factory.mktemp("service") / "data"
    with running(data) as service, service.client() as client:
        jobs = {}
        for name in rows:
            answer = upload(client, FOLDER / name)
            if not (FOLDER / name).stat().st_size:
                assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
                continue
            assert answer.status_code == httpx.codes.ACCEPTED, answer.text
            jobs[name] = answer.json()["job"]["id"]
        ended = {name: dict(wait_for_job(client, job, 240)) for name, job in jobs.items()}
        videos = all_items(client, "/v1/collections/default/videos")
        rows = {name: row for name, row in rows.items() if name in jobs}
        yield Library(client, rows, ended, {video["filename"]: video for video in videos})


@pytest.mark.timeout(420)
def test_every_readable_file_succeeds(library: Library) -> None:
    """A file from which a full decode gets frames ends `succeeded`."""
    statuses = {name: library.jobs[name]["status"] for name in library.readable()}
    assert len(statuses) >= 60
    assert set(statuses.values()) == {"succeeded"}, statuses


def test_every_broken_file_fails_with_a_stable_code_and_a_sentence(library: Library) -> None:
    """A file without one decodable frame ends `failed`, and says why."""
    broken = set(library.rows) - set(library.readable())
    assert len(broken) >= 10
    for name in broken:
        job = library.jobs[name]
        assert job["status"] == "failed", name
        assert job["error"]["code"] in STABLE_CODES, (name, job["error"])
        assert len(job["error"]["message"].split()) >= 4, (name, job["error"])
        assert library.videos[name]["error"] == job["error"]


def test_segments_cover_the_duration_without_a_gap(library: Library) -> None:
    """From 0 to the end of the video, each segment begins before the one before it has ended."""
    for name in library.readable():
        video = library.videos[name]
        path = f"/v1/collections/default/videos/{video['id']}/segments"
        segments = library.client.get(path).json()["items"]
        assert segments[0]["start"] == 0, name
        assert segments[-1]["end"] == pytest.approx(video["duration_s"]), name
        for before, after in pairwise(segments):
            assert before["start"] < after["start"] <= before["end"] < after["end"] + 1e-9, name


def test_durations_are_those_of_the_decoded_frames(library: Library) -> None:
    """What the service calls the duration is what a full decode took, where the header is sane."""
    known = 0
    for name in library.readable():
        stated = float(library.rows[name]["duration_s"] or 0)
        frames = int(library.rows[name]["frames_decoded"])
        if library.rows[name]["kind"] == "hostile" or stated == 0 or frames < 10:
            continue  # the header lies, or one frame more or less is most of the clip
        if "edit_list" in name:
            continue  # the header counts the time before the first picture
        known += 1
        assert library.videos[name]["duration_s"] == pytest.approx(stated, rel=0.1, abs=0.15), name
    assert known >= 40


def test_the_service_is_up_and_searches_after_all_of_it(library: Library) -> None:
    """Ready, and a search over everything answers with moments of the clips."""
    assert library.client.get("/readyz").status_code == httpx.codes.OK
    answer = library.client.post(
        "/v1/collections/default/search", json={"text": "a person walking", "top_k": 5}
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    assert len(answer.json()["results"]) == 5
