"""Zero-shot labels: the softmax of the model's own scores."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from app.model_api.tensor_records import stack_records
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
        {"labels": [f"label {n}" for n in range(10_001)]},
        {"labels": ["a", "b"], "label_set": "sports"},
        {"label_set": "No Name"},
        {"labels": ["a", "b"], "video_ids": ["vid_a"], "filter": {}},
        {"labels": ["a", "b"], "segment_ids": ["seg_a"], "filter": {}},
        {"labels": ["a", "b"], "top": 0},
        {"labels": ["a", "b"], "segments": "no"},
        {"labels": ["a", "x" * 1001]},
        {"labels": "ab"},
        {},
    ],
    ids=lambda body: str(body)[:50],
)
def test_malformed_choices_are_refused(library: Stack, body: dict[str, object]):
    """Labels are several and different, or a set; one part of the collection is named at most."""
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


@pytest.mark.parametrize(
    "choice", [{}, {"segments": False}, {"top": 2}], ids=["all", "no segments", "top"]
)
def test_a_request_for_too_much_is_refused(
    library: Stack, monkeypatch: pytest.MonkeyPatch, choice: dict[str, Any]
):
    """What is answered is counted before anything is scored; the refusal says what helps."""
    videos = library.api.get(VIDEOS).json()["items"]
    count = sum(
        len(library.api.get(f"{VIDEOS}/{video['id']}/segments").json()["items"]) for video in videos
    )
    rows = len(videos) + (0 if choice.get("segments") is False else count)
    numbers = rows * choice.get("top", len(LABELS))
    body = {"labels": LABELS, **choice}
    monkeypatch.setattr("app.services.classify.classify._MAX_NUMBERS", numbers)
    assert library.api.post(CLASSIFY, json=body).status_code == 200
    monkeypatch.setattr("app.services.classify.classify._MAX_NUMBERS", numbers - 1)
    asked_before = len(library.worker.requests)
    problem = assert_problem(library.api.post(CLASSIFY, json=body), 422, "invalid_request")
    for way_out in ("top", "segments: false", "fewer videos"):
        assert way_out in problem["detail"]
    assert len(library.worker.requests) == asked_before


def test_long_labels_count_by_their_length(library: Stack):
    """Labels are the keys of every score, so an answer's size is theirs too."""
    labels = [f"{number}{'x' * 990}" for number in range(9_000)]
    refused = library.api.post(CLASSIFY, json={"labels": labels})
    assert_problem(refused, 422, "invalid_request")


def test_too_many_texts_are_refused(library: Stack):
    """Labels times templates is bounded: each is a text that the model has to read."""
    body = {"labels": [str(n) for n in range(10_000)], "templates": ["{}"] * 11, "top": 1}
    problem = assert_problem(library.api.post(CLASSIFY, json=body), 422, "invalid_request")
    assert "templates" in problem["detail"]


def test_only_the_top_labels_are_answered(library: Stack):
    """The most probable of each video and of each segment, in their order."""
    whole = library.api.post(CLASSIFY, json={"labels": LABELS}).json()
    top = library.api.post(CLASSIFY, json={"labels": LABELS, "top": 2}).json()
    assert top["labels"] == LABELS
    for all_of, best_of in zip(answered(whole), answered(top), strict=True):
        expected = sorted(all_of.items(), key=lambda item: -item[1])[:2]
        assert [*best_of] == [label for label, _ in expected]
        assert [*best_of.values()] == pytest.approx([score for _, score in expected], abs=1e-6)
    many = library.api.post(CLASSIFY, json={"labels": LABELS, "top": 10_000}).json()
    assert len(many["videos"][0]["scores"]) == len(LABELS)


def answered(body: dict[str, Any]) -> list[dict[str, float]]:
    """Every `scores` of an answer."""
    return [
        part["scores"] for video in body["videos"] for part in (video, *video.get("segments", ()))
    ]


def test_segments_may_be_left_out(library: Stack):
    """The videos' own scores stay what they are."""
    whole = library.api.post(CLASSIFY, json={"labels": LABELS}).json()["videos"]
    short = library.api.post(CLASSIFY, json={"labels": LABELS, "segments": False}).json()["videos"]
    assert all("segments" not in video for video in short)
    for one, other in zip(whole, short, strict=True):
        assert other["scores"] == pytest.approx(one["scores"], abs=1e-6)


def test_a_filter_chooses_segments(library: Stack):
    """Those it allows are grouped by video, the newest first; metadata and times both count."""
    whole = library.api.post(CLASSIFY, json={"labels": LABELS}).json()["videos"]
    body = {"labels": LABELS, "filter": {"odd": True, "start": {"gte": 1}}}
    found = library.api.post(CLASSIFY, json=body).json()["videos"]
    assert [video["filename"] for video in found] == ["clip 3.mp4", "clip 1.mp4"]
    expected = [
        [segment["segment_id"] for segment in video["segments"] if segment["start"] >= 1]
        for video in whole
        if video["filename"] in ("clip 1.mp4", "clip 3.mp4")
    ]
    segments = [[segment["segment_id"] for segment in video["segments"]] for video in found]
    assert segments == [ids for ids in expected if ids]
    for video in found:
        mean = np.mean([list(item["scores"].values()) for item in video["segments"]], axis=0)
        assert list(video["scores"].values()) == pytest.approx(mean.tolist())
    everything = library.api.post(CLASSIFY, json={"labels": LABELS, "filter": {}}).json()
    assert [video["video_id"] for video in everything["videos"]] == [
        video["video_id"] for video in whole
    ]
    nothing = library.api.post(CLASSIFY, json={"labels": LABELS, "filter": {"odd": "no"}})
    assert nothing.json()["videos"] == []


def test_a_filter_that_cannot_be_read_is_refused(library: Stack):
    """As in a search."""
    body = {"labels": LABELS, "filter": {"duration": {"near": 5}}}
    assert_problem(library.api.post(CLASSIFY, json=body), 422, "invalid_filter")


def test_templates_average_the_texts_they_make(library: Stack, encoder: Encoder):
    """The scores are those of the averaged embeddings, by the library's scoring."""
    templates = ["a video of {}", "{}", "{} moves"]
    texts = [template.replace("{}", label) for label in LABELS for template in templates]
    means = encoder.encode_text(texts).reshape(len(LABELS), len(templates), -1).mean(axis=1)
    answer = library.api.post(CLASSIFY, json={"labels": LABELS, "templates": templates}).json()
    video = answer["videos"][0]
    segments = library.catalog.list_segments("default", video["video_id"])
    stored = stack_records(library.tensors.read([segment.tensor for segment in segments]))
    exponentials = np.exp(encoder.score(means, stored).astype(np.float64))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    for segment, row in zip(video["segments"], expected, strict=True):
        assert list(segment["scores"]) == LABELS
        assert list(segment["scores"].values()) == pytest.approx(row.tolist(), abs=1e-5)


@pytest.mark.parametrize("template", ["no place", "{} and {}", "{ }"])
def test_a_template_without_a_place_is_pointed_at(library: Stack, template: str):
    """The refusal leads to the one that is wrong."""
    body = {"labels": LABELS, "templates": ["a {}", template]}
    problem = assert_problem(library.api.post(CLASSIFY, json=body), 422, "invalid_request")
    (error,) = problem["errors"]
    assert error["loc"] == ["body", "templates", 1]
    assert "{}" in error["msg"]


def test_a_label_set_stands_for_its_labels(stack: Stack, make_clip: MakeClip):
    """Its templates count, unless the request has its own; an unknown one is not found."""
    stack.ingest(make_clip(seconds=1))
    templates = ["a video of {}"]
    stack.api.put("/v1/label-sets/shapes", json={"labels": LABELS, "templates": templates})
    for choice, same in (
        ({}, {"templates": templates}),
        ({"templates": []}, {}),
        ({"templates": ["{} up"]}, {"templates": ["{} up"]}),
    ):
        by_name = stack.api.post(CLASSIFY, json={"label_set": "shapes", **choice}).json()
        assert by_name == stack.api.post(CLASSIFY, json={"labels": LABELS, **same}).json()
    missing = stack.api.post(CLASSIFY, json={"label_set": "none"})
    assert_problem(missing, 404, "label_set_not_found")


def test_a_clip_takes_the_same_options(stack: Stack, make_clip: MakeClip):
    """Label set, templates, top and segments mean what they mean for stored videos."""
    clip = make_clip(seconds=2)
    stack.api.put("/v1/label-sets/shapes", json={"labels": LABELS, "templates": ["a video of {}"]})
    passing = send(stack, clip.read_bytes(), label_set='"shapes"', top="2").json()
    bare = send(stack, clip.read_bytes(), label_set='"shapes"', segments="false").json()
    stack.ingest(clip)
    asked = {"label_set": "shapes", "top": 2}
    (kept,) = stack.api.post(CLASSIFY, json=asked).json()["videos"]
    assert passing["labels"] == LABELS
    assert passing["scores"] == pytest.approx(kept["scores"], abs=1e-3)
    for one, other in zip(passing["segments"], kept["segments"], strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-3)
    assert "segments" not in bare
    assert len(bare["scores"]) == len(LABELS)


def test_a_clip_may_have_thousands_of_labels(stack: Stack, make_clip: MakeClip):
    """As many as a stored video; past what one answer holds, the refusal says what helps."""
    labels = json.dumps([f"a red square moves {number}" for number in range(10_000)])
    content = make_clip(seconds=1).read_bytes()
    answer = send(stack, content, labels=labels, top="3").json()
    assert [len(part["scores"]) for part in (answer, *answer["segments"])] == [3, 3]


def test_a_clip_with_too_many_scores_is_refused(
    stack: Stack, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
):
    """The worker keeps no table without end; the sentence says what helps."""
    monkeypatch.setattr("app.worker.clip_scoring.MAX_CLIP_SCORES", 5)
    answer = send(stack, make_clip(seconds=2).read_bytes(), labels='["a", "b"]')
    problem = assert_problem(answer, 422, "invalid_request")
    assert "fewer labels" in problem["detail"]
