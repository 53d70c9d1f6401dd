"""Zero-shot labels: the softmax of the model's own scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.app.conftest import MakeClip
from tests.app.stack import CLASSIFY, VIDEOS, Stack, assert_problem, score_everything
from xclip.encoder import Encoder

LABELS = ["a red square", "blue circle moves up", "down"]


def test_probabilities_are_the_softmax_of_the_logits(library: Stack, encoder: Encoder):
    """Each segment's by the library's scoring, each video's the mean of its segments'."""
    oracle = score_everything(library, encoder, LABELS)
    exponentials = np.exp(oracle.logits.astype(np.float64))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    rows = dict(zip(oracle.segment_ids, expected, strict=True))
    answer = library.api.post(CLASSIFY, json={"labels": LABELS}).json()
    assert answer["labels"] == LABELS
    assert [video["filename"] for video in answer["videos"]] == [
        f"clip {seed}.mp4" for seed in (3, 2, 1, 0)
    ]
    assert sum(len(video["segments"]) for video in answer["videos"]) == len(rows)
    for video in answer["videos"]:
        own = [rows[segment["segment_id"]] for segment in video["segments"]]
        for segment, row in zip(video["segments"], own, strict=True):
            assert list(segment["scores"]) == LABELS
            assert list(segment["scores"].values()) == pytest.approx(row.tolist(), abs=1e-5)
        mean = np.mean(own, axis=0).tolist()
        assert list(video["scores"].values()) == pytest.approx(mean, abs=1e-5)
        assert sum(video["scores"].values()) == pytest.approx(1)


def test_chosen_videos_come_in_the_order_asked(library: Stack):
    """Ids choose and order; asking twice for one changes nothing."""
    ids = [video["id"] for video in library.api.get(VIDEOS).json()["items"]]
    chosen = [ids[2], ids[0], ids[2]]
    answer = library.api.post(CLASSIFY, json={"labels": LABELS, "video_ids": chosen}).json()
    assert [video["video_id"] for video in answer["videos"]] == [ids[2], ids[0]]


def test_chosen_segments_are_grouped_by_video(library: Stack):
    """Only these segments count, in order of time, and the video's mean is theirs."""
    video = library.api.get(VIDEOS).json()["items"][0]
    url = f"{VIDEOS}/{video['id']}/segments"
    segments = [item["id"] for item in library.api.get(url).json()["items"]]
    asked = {"labels": LABELS, "segment_ids": [segments[4], segments[1]]}
    (found,) = library.api.post(CLASSIFY, json=asked).json()["videos"]
    assert [item["segment_id"] for item in found["segments"]] == [segments[1], segments[4]]
    mean = np.mean([list(item["scores"].values()) for item in found["segments"]], axis=0)
    assert list(found["scores"].values()) == pytest.approx(mean.tolist())


@pytest.mark.parametrize(
    "body",
    [
        {"labels": ["one"]},
        {"labels": ["same", " same "]},
        {"labels": ["a", " "]},
        {"labels": ["a", "b"], "video_ids": []},
        {"labels": ["a", "b"], "video_ids": ["vid_a"], "segment_ids": ["seg_a"]},
        {"labels": ["a", "b"], "video_ids": ["../x"]},
        {"labels": [f"label {n}" for n in range(1001)]},
        {"labels": "ab"},
        {},
    ],
    ids=lambda body: str(body)[:50],
)
def test_malformed_choices_are_refused(library: Stack, body: dict[str, object]):
    """Labels are several and different; videos or segments, not both."""
    assert_problem(library.api.post(CLASSIFY, json=body), 422, "invalid_request")


def test_unknown_videos_and_segments_are_not_found(library: Stack):
    """Nothing asked for is silently left out."""
    for key, code in (("video_ids", "video_not_found"), ("segment_ids", "segment_not_found")):
        body = {"labels": LABELS, key: [f"{key[:3]}_none"]}
        assert_problem(library.api.post(CLASSIFY, json=body), 404, code)
    other = library.api.post("/v1/collections/none/classify", json={"labels": LABELS})
    assert_problem(other, 404, "collection_not_found")


def test_a_video_without_segments_is_not_ready(stack: Stack, make_clip: MakeClip):
    """409 while it is being ingested, if it was asked for; the whole collection goes without."""
    video = stack.upload(make_clip(seconds=1))["video"]
    asked = stack.api.post(CLASSIFY, json={"labels": LABELS, "video_ids": [video["id"]]})
    assert_problem(asked, 409, "video_not_ready")
    assert stack.api.post(CLASSIFY, json={"labels": LABELS}).json()["videos"] == []


def send(stack: Stack, content: bytes, **fields: str):
    return stack.api.post("/v1/classify", files={"file": ("clip.mp4", content)}, data=fields)


def test_a_clip_that_is_not_kept_gets_the_same_labels(stack: Stack, make_clip: MakeClip):
    """The answer equals the one after an ingest, and of the clip nothing remains."""
    clip = make_clip(seconds=2)
    labels = '["a red square", "blue circle moves up", "down"]'
    passing = send(stack, clip.read_bytes(), labels=labels).json()
    assert (passing["filename"], passing["duration_s"]) == ("clip.mp4", 2.0)
    assert [path for path in stack.media.tmp.iterdir() if path.name != "media.lock"] == []
    assert stack.api.get(VIDEOS).json()["items"] == []
    stack.ingest(clip)
    (kept,) = stack.api.post(CLASSIFY, json={"labels": LABELS}).json()["videos"]
    assert passing["scores"] == pytest.approx(kept["scores"], abs=1e-4)
    times = [(item["start"], item["end"]) for item in passing["segments"]]
    assert times == [(item["start"], item["end"]) for item in kept["segments"]]
    for one, other in zip(passing["segments"], kept["segments"], strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-4)


def test_a_clip_may_be_cut_otherwise(stack: Stack, make_clip: MakeClip):
    """Window and stride are the caller's to choose."""
    content = make_clip(seconds=2).read_bytes()
    answer = send(stack, content, labels='["a", "b"]', window_s="2", stride_s="2").json()
    assert [(item["start"], item["end"]) for item in answer["segments"]] == [(0.0, 2.0)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"labels": "a, b"},
        {"labels": '["a"]'},
        {"labels": '["a", "b"]', "window_s": "NaN"},
        {"labels": '["a", "b"]', "window_s": "1", "stride_s": "2"},
        {"labels": '["a", "b"]', "keep": "true"},
    ],
)
def test_malformed_clip_requests_are_refused(library: Stack, fields: dict[str, str]):
    """Missing, malformed and unknown fields are a 422, and nothing remains."""
    assert_problem(send(library, b"x" * 100, **fields), 422, "invalid_request")
    assert [path for path in library.media.tmp.iterdir() if path.name != "media.lock"] == []
    assert "/clip" not in library.worker.requests


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "empty_file"), (b"no pictures here", "unreadable_video")]
)
def test_a_clip_that_cannot_be_read_says_why(stack: Stack, content: bytes, code: str):
    """The decoder's own code, with a sentence; the service goes on."""
    body = assert_problem(send(stack, content, labels='["a", "b"]'), 422, code)
    assert body["detail"].endswith(".")
    assert stack.api.get("/readyz").status_code == 200


def test_a_request_for_too_many_scores_is_refused(
    library: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Segments times labels is bounded, so an answer fits in memory."""
    monkeypatch.setattr("app.services.classify._MAX_SCORES", 16 * 3 - 1)
    answer = library.api.post(CLASSIFY, json={"labels": LABELS})
    assert_problem(answer, 422, "invalid_request")
    assert library.api.post(CLASSIFY, json={"labels": LABELS[:2]}).status_code == 200
