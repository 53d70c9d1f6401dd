"""Known bytes sent again: neither their new name nor their metadata is lost, and it is said."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from app.catalog.uploads import MAX_FURTHER_NAMES
from tests.app.conftest import MakeClip
from tests.app.stack import VIDEOS, Stack


@pytest.fixture
def clip(make_clip: MakeClip) -> Path:
    return make_clip("first.mp4", seconds=1.0)


def send(stack: Stack, clip: Path, name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Upload the clip under a name; returns the answer's body."""
    fields = {"metadata": json.dumps(metadata)}
    answer = stack.api.post(VIDEOS, files={"file": (name, clip.read_bytes())}, data=fields)
    assert answer.status_code in (200, 202), answer.text
    body = answer.json()
    assert body["already_here"] is (answer.status_code == 200)
    return body


def stored(stack: Stack, video_id: str) -> dict[str, Any]:
    return stack.api.get(f"{VIDEOS}/{video_id}").json()


def test_a_new_name_and_new_keys_are_added_and_old_values_stay(stack: Stack, clip: Path) -> None:
    """The answer names the keys whose value was not taken."""
    first = send(stack, clip, "first.mp4", {"camera": "north", "tags": ["a"]})
    assert (first["metadata_not_taken"], first["video"]["further_names"]) == ([], [])
    again = send(stack, clip, "copy.mp4", {"camera": "south", "day": 3, "tags": ["a"]})
    assert again["video"]["id"] == first["video"]["id"]
    assert again["already_here"] is True
    assert again["metadata_not_taken"] == ["camera"]
    video = stored(stack, first["video"]["id"])
    assert video == again["video"]
    assert (video["filename"], video["further_names"]) == ("first.mp4", ["copy.mp4"])
    assert video["metadata"] == {"camera": "north", "tags": ["a"], "day": 3}


def test_names_are_kept_once_and_in_order(stack: Stack, clip: Path) -> None:
    """The video's own name is none of the further ones, and neither is none."""
    for name in ("a.mp4", "b.mp4", "a.mp4", " ", "c.mp4", "b.mp4"):
        video = send(stack, clip, name, {})["video"]
    assert (video["filename"], video["further_names"]) == ("a.mp4", ["b.mp4", "c.mp4"])


def test_added_metadata_is_found_by_filters(stack: Stack, clip: Path) -> None:
    """Like that of the first upload."""
    stack.ingest(clip)
    send(stack, clip, "copy.mp4", {"camera": "north"})
    body = {"text": "red", "filter": {"camera": "north"}}
    answer = stack.api.post("/v1/collections/default/search", json=body).json()
    assert answer["index"]["segments_eligible"] > 0


def test_a_failed_video_takes_them_as_well(stack: Stack, tmp_path: Path) -> None:
    """Sent again it gets a new job, its new name and what it lacked."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    assert stack.ingest(broken)["status"] == "failed"
    again = send(stack, broken, "other.mp4", {"day": 1})
    assert again["already_here"] is False
    assert again["video"]["further_names"] == ["other.mp4"]
    assert again["video"]["metadata"] == {"day": 1}


def test_many_copies_take_a_bounded_place(stack: Stack, clip: Path) -> None:
    """So many names and so much metadata are kept, and what is not is said."""
    for number in range(MAX_FURTHER_NAMES + 2):
        answer = send(stack, clip, f"{number}.mp4", {})
    assert len(answer["video"]["further_names"]) == MAX_FURTHER_NAMES
    for number in range(6):
        answer = send(stack, clip, "0.mp4", {f"key {number}": "x" * 16_000})
    assert answer["metadata_not_taken"] == ["key 5"]
    assert len(json.dumps(answer["video"]["metadata"])) < 70_000


def test_a_resumable_upload_of_known_bytes_says_the_same(stack: Stack, clip: Path) -> None:
    """Its own answer names what was not taken, and the video has the name."""
    first = send(stack, clip, "first.mp4", {"camera": "north"})["video"]
    pairs = {"filename": "tus.mp4", "metadata": '{"camera": "south", "day": 2}'}
    headers = {
        "tus-resumable": "1.0.0",
        "upload-length": str(clip.stat().st_size),
        "upload-metadata": ",".join(
            f"{name} {b64encode(value.encode()).decode()}" for name, value in pairs.items()
        ),
    }
    created = stack.api.post("/v1/collections/default/uploads", headers=headers)
    assert created.status_code == 201, created.text
    chunk = {
        "tus-resumable": "1.0.0",
        "upload-offset": "0",
        "content-type": "application/offset+octet-stream",
    }
    stack.api.patch(created.headers["location"], content=clip.read_bytes(), headers=chunk)
    answer = stack.api.get(created.headers["location"]).json()
    assert answer["complete"], answer
    assert answer["metadata_not_taken"] == ["camera"]
    assert answer["video"]["id"] == first["id"]
    assert answer["video"]["further_names"] == ["tus.mp4"]
    assert answer["video"]["metadata"] == {"camera": "north", "day": 2}
