"""`xclip-search classify` against a running service."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from app.cli.output import moment

RunCommand = Callable[..., Result]
MakeClip = Callable[..., Path]
LABELS = ("a red square", "a blue circle", "a square moves left")
_SHARE = re.compile(r"(.*\S) +(\d+\.\d)%")


@pytest.fixture
def clip(make_clip: MakeClip) -> Path:
    """A video of two and a half seconds."""
    return make_clip("crossing.mp4", seconds=2.5, seed=6)


def shares(output: str) -> dict[str, float]:
    """The probabilities of the first table, by label, in the order printed."""
    first_table = output.split("moment")[0].splitlines()
    matches = [_SHARE.match(line.strip()) for line in first_table]
    return {match[1]: float(match[2]) for match in matches if match}


def test_a_stored_video_gets_probabilities(
    command: RunCommand, clip: Path, running_service: str, collection: str
) -> None:
    """Every label, likeliest first, summing to one; and the likeliest of each moment."""
    place = ("--collection", collection, "--url", running_service)
    command("ingest", clip, *place)
    videos = f"{running_service}/v1/collections/{collection}/videos"
    (video,) = httpx.get(videos, trust_env=False, timeout=120).json()["items"]
    result = command("classify", *LABELS, "--video", video["id"], *place)
    assert result.exit_code == 0, result.output
    found = shares(result.output)
    assert sorted(found) == sorted(LABELS)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(found.values()) == pytest.approx(100, abs=0.2)
    for start in (0.0, 0.5, 1.0, 1.5):
        assert f"{moment(start)}–{moment(start + 1)}" in result.output


def test_a_file_is_labelled_and_not_kept(
    command: RunCommand, clip: Path, running_service: str
) -> None:
    """Every label gets its probability, and the service holds no video more than before."""
    before = httpx.get(f"{running_service}/v1/collections", trust_env=False, timeout=120).json()
    result = command("classify", *LABELS, "--file", clip, "--url", running_service)
    assert result.exit_code == 0, result.output
    assert sorted(shares(result.output)) == sorted(LABELS)
    after = httpx.get(f"{running_service}/v1/collections", trust_env=False, timeout=120).json()
    assert before == after


def test_a_label_set_is_shown_in_part(
    command: RunCommand, clip: Path, running_service: str, request: pytest.FixtureRequest
) -> None:
    """Its labels under the templates asked for, as many as asked for, likeliest first."""
    body = {"labels": LABELS, "templates": ["{} moves"]}
    url = f"{running_service}/v1/label-sets/shapes"
    request.addfinalizer(lambda: httpx.delete(url, trust_env=False, timeout=120))
    assert httpx.put(url, json=body, trust_env=False, timeout=120).status_code == 201
    choice = ("--label-set", "shapes", "--file", clip, "--url", running_service)
    whole = command("classify", *choice)
    assert whole.exit_code == 0, whole.output
    two = command("classify", *choice, "--top", 2)
    assert list(shares(two.output).items()) == list(shares(whole.output).items())[:2]
    plain = command("classify", *LABELS, "--file", clip, "--url", running_service)
    templates = ("--template", "{}", "--template", "{}")
    assert command("classify", *choice, *templates).output == plain.output


def test_a_filter_labels_several_videos(
    command: RunCommand, make_clip: MakeClip, running_service: str, collection: str
) -> None:
    """One line a video, with its likeliest label; or an explanation if none fits."""
    place = ("--collection", collection, "--url", running_service)
    command("ingest", make_clip("one.mp4", seconds=1.5), make_clip("two.mp4", seconds=3), *place)
    result = command("classify", *LABELS, "--filter", '{"duration": {"gte": 1}}', *place)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    assert sorted(line[0] for line in lines) == ["one.mp4", "two.mp4", "video"]
    longest = command("classify", *LABELS, "--filter", '{"duration": {"gte": 2}}', *place)
    assert "one.mp4" not in longest.output
    both = command("classify", *LABELS, "--filter", "{}", "--top", 2, *place)
    assert len(both.output.splitlines()) == 1 + 2 * 2
    none = command("classify", *LABELS, "--filter", '{"camera": "north"}', *place)
    assert "no searchable video" in none.output


def test_one_video_or_part_has_to_be_named(command: RunCommand, clip: Path) -> None:
    """None and several are refused before anything is sent."""
    for choice in ((), ("--video", "vid_1", "--file", clip), ("--video", "v", "--filter", "{}")):
        result = command("classify", *LABELS, *choice, "--url", "http://127.0.0.1:9")
        assert result.exit_code == 2
        assert "--video" in result.output


def test_labels_or_a_label_set_are_given(command: RunCommand) -> None:
    """Neither and both are refused before anything is sent."""
    for choice in ((), (*LABELS, "--label-set", "shapes")):
        result = command("classify", *choice, "--video", "v", "--url", "http://127.0.0.1:9")
        assert result.exit_code == 2
        assert "--label-set" in result.output


def test_a_filter_is_json(command: RunCommand) -> None:
    """What is no object is refused before anything is sent."""
    for text in ("camera=north", "[1]"):
        choice = ("--filter", text, "--url", "http://127.0.0.1:9")
        result = command("classify", *LABELS, *choice)
        assert result.exit_code == 2
        assert "JSON object" in result.output


def test_a_broken_file_is_explained(
    command: RunCommand, tmp_path: Path, running_service: str
) -> None:
    """The decoder's reason, its code and status 1."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video" * 100)
    result = command("classify", *LABELS, "--file", broken, "--url", running_service)
    assert result.exit_code == 1
    assert "unreadable_video" in result.output
