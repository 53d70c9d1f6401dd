"""What a video scores over time, against the mean of the segments that cover each instant."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from app.catalog.records import Video
from tests.app.conftest import MakeClip
from tests.app.planted import STRIDE_S, WINDOW_S, create, plant, read_contents, url
from tests.app.stack import Stack, assert_problem, open_stack
from xclip.encoder import Encoder

TEXT = "a red square moves left"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Stack]:
    """Three videos of 1, 4 and 9 segments; not to be changed."""
    rng = np.random.default_rng(13)
    with open_stack(tmp_path_factory.mktemp("crowd"), encoder) as stack:
        for segments in (1, 4, 9):
            plant(stack, encoder, rng, segments=segments)
        yield stack


def heatmap(stack: Stack, video: Video, text: str = TEXT) -> dict[str, Any]:
    answer = stack.api.get(url("default", f"videos/{video.id}/heatmap"), params={"q": text})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_pieces_join_and_are_the_mean_of_the_segments_over_them(crowd: Stack, encoder: Encoder):
    """From the first segment's start to the last one's end, without gap or overlap."""
    contents = read_contents(crowd, encoder, "default")
    logits = contents.logits([TEXT])[:, 0]
    for video in crowd.catalog.list_videos("default").items:
        answer = heatmap(crowd, video)
        own = [n for n, segment in enumerate(contents.segments) if segment.video_id == video.id]
        pieces = answer["pieces"]
        assert pieces[0]["start"] == 0
        assert pieces[-1]["end"] == (len(own) - 1) * STRIDE_S + WINDOW_S
        assert all(one["end"] == other["start"] for one, other in pairwise(pieces))
        for piece in pieces:
            assert piece["start"] < piece["end"]
            covering = [
                logits[number]
                for number in own
                if contents.segments[number].start_s <= piece["start"]
                and piece["end"] <= contents.segments[number].end_s
            ]
            assert piece["score"] == pytest.approx(np.mean(covering), abs=1e-4)
            assert piece["confidence"] is None
        assert (answer["query"], answer["video_id"]) == (TEXT, video.id)
        assert answer["duration_s"] == video.duration_s
        assert answer["confidence_kind"] is None


def test_a_heatmap_needs_words(crowd: Stack):
    """Missing, empty or invisible text is a 422, as it is in a search."""
    video = crowd.catalog.list_videos("default").items[0]
    path = url("default", f"videos/{video.id}/heatmap")
    for params in ({}, {"q": ""}, {"q": " "}, {"q": "\u200b"}, {"q": "x" * 1001}, {"q": "a\0"}):
        assert_problem(crowd.api.get(path, params=params), 422, "invalid_request")


def test_a_video_that_is_not_there_or_elsewhere_is_not_found(crowd: Stack, encoder: Encoder):
    """404 for an unknown one and for one of another collection."""
    create(crowd, "other")
    other = plant(crowd, encoder, np.random.default_rng(1), collection="other")
    for name in (other.id, "vid_none"):
        answer = crowd.api.get(url("default", f"videos/{name}/heatmap"), params={"q": TEXT})
        assert_problem(answer, 404, "video_not_found")
    answer = crowd.api.get(url("none", f"videos/{other.id}/heatmap"), params={"q": TEXT})
    assert_problem(answer, 404, "collection_not_found")


def test_a_video_that_is_not_ready_is_a_conflict(stack: Stack, make_clip: MakeClip):
    """409 until its job has succeeded, then its pieces."""
    uploaded = stack.upload(make_clip(seconds=2))["video"]
    path = url("default", f"videos/{uploaded['id']}/heatmap")
    assert_problem(stack.api.get(path, params={"q": TEXT}), 409, "video_not_ready")
    assert stack.puller.run_one()
    assert len(stack.api.get(path, params={"q": TEXT}).json()["pieces"]) == 4
