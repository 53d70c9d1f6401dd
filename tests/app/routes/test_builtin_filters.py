"""Filters by what the service itself knows of a video, and by keys that are in none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.conftest import MakeClip
from tests.app.stack import CLASSIFY, SEARCH, VIDEOS, Stack, assert_problem


def videos_found(stack: Stack, wanted: dict[str, Any]) -> set[str]:
    """The names of the videos that a search with the filter finds."""
    answer = stack.api.post(SEARCH, json={"text": "red", "filter": wanted, "top_k": 100})
    assert answer.status_code == 200, answer.text
    return {result["filename"] for result in answer.json()["results"]}


def test_each_fact_of_a_video_finds_it(library: Stack) -> None:
    """By equality, as its description has it; another value finds it not."""
    video = library.api.get(VIDEOS).json()["items"][0]
    fields = {name: name for name in ("filename", "sha256", "container", "codec")}
    for field, fact in (
        fields | {"size": "size_bytes", "width": "width", "height": "height"}
    ).items():
        assert video["filename"] in videos_found(library, {field: video[fact]}), field
        assert video["filename"] not in videos_found(library, {field: {"ne": video[fact]}}), field
        assert video["filename"] in videos_found(library, {field: {"exists": True}}), field


def test_other_names_of_a_fact_find_it_too(library: Stack) -> None:
    """Codec and container as people call them, and a digest in capitals."""
    video = library.api.get(VIDEOS).json()["items"][0]
    assert (video["codec"], video["container"]) == ("mpeg4", "mp4")
    for wanted in (
        {"codec": "Xvid"},
        {"codec": ["h265", "MP4V"]},
        {"container": "MOV"},
        {"container": {"in": [".mp4"]}},
        {"sha256": video["sha256"].upper()},
    ):
        assert video["filename"] in videos_found(library, wanted), wanted
    assert videos_found(library, {"codec": "h265"}) == set()


def test_facts_have_an_order(library: Stack) -> None:
    """Numbers that of numbers, texts that of their code points."""
    videos = library.api.get(VIDEOS).json()["items"]
    for field, fact in (("size", "size_bytes"), ("filename", "filename")):
        middle = sorted(video[fact] for video in videos)[1]
        expected = {video["filename"] for video in videos if video[fact] <= middle}
        assert videos_found(library, {field: {"lte": middle}}) == expected


def test_a_name_of_the_same_bytes_finds_the_video(stack: Stack, make_clip: MakeClip) -> None:
    """Also once its metadata has been replaced."""
    clip = make_clip("first.mp4", seconds=1.0)
    video = stack.ingest(clip)
    stack.api.post(VIDEOS, files={"file": ("copy.mp4", clip.read_bytes())})
    stack.api.patch(f"{VIDEOS}/{video['id']}", json={"metadata": {"day": 1}})
    for wanted in ("copy.mp4", "first.mp4", {"gte": "copy", "lt": "d"}):
        assert videos_found(stack, {"filename": wanted}) == {"first.mp4"}
    assert videos_found(stack, {"filename": "none.mp4"}) == set()
    assert videos_found(stack, {"metadata.filename": "copy.mp4"}) == set()


@pytest.mark.parametrize("field", ["width", "height", "size"])
def test_a_fact_of_the_wrong_type_is_refused(library: Stack, field: str) -> None:
    """And the sentence says how the metadata's key of that name is written."""
    body = {"text": "red", "filter": {field: "wide"}}
    problem = assert_problem(library.api.post(SEARCH, json=body), 422, "invalid_filter")
    assert f"metadata.{field}" in str(problem)


def test_keys_of_a_filter_that_allows_nothing_are_counted(library: Stack) -> None:
    """So that a misspelt key is told from a value that is not there."""
    wanted = {"seed": 99, "camra": "north", "filename": "x"}
    answer = library.api.post(SEARCH, json={"text": "red", "filter": wanted}).json()
    assert answer["index"]["segments_eligible"] == 0
    assert answer["index"]["filter_keys"] == {"seed": 4, "camra": 0}
    body = {"labels": ["red", "blue"], "filter": wanted}
    assert library.api.post(CLASSIFY, json=body).json()["filter_keys"] == {"seed": 4, "camra": 0}


def test_a_misspelt_key_is_told_where_a_filter_allows_something(library: Stack) -> None:
    """`ne` and `not` allow all that lacks the key."""
    wanted = {"and": [{"camra": {"ne": "x"}}, {"not": {"sed": 1}}, {"seed": {"gte": 0}}]}
    answer = library.api.post(SEARCH, json={"text": "red", "filter": wanted}).json()
    assert answer["index"]["segments_eligible"] > 0
    assert answer["index"]["filter_keys"] == {"camra": 0, "sed": 0}
    answer = library.api.post(SEARCH, json={"text": "red", "filter": {"seed": 1}}).json()
    assert answer["index"]["filter_keys"] == {}
