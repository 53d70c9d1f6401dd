"""Search in words: the model's own scores, over what is eligible, as of now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.catalog.records import NewSegment, VideoFacts
from index import TensorReference
from tests.app.conftest import MakeClip
from tests.app.stack import (
    SEARCH,
    VIDEOS,
    Stack,
    assert_problem,
    open_stack,
    score_everything,
)
from xclip.encoder import Encoder

TEXTS = ["a red square moves left", "blue circle", "down", "a <|endoftext|> of words unknown"]


def search(stack: Stack, text: str, **options: object) -> dict:
    answer = stack.api.post(SEARCH, json={"text": text, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("text", TEXTS)
def test_scores_are_the_models_own_over_all_segments(library: Stack, encoder: Encoder, text: str):
    """Every segment comes back with the logit that the library computes from its tensors."""
    oracle = score_everything(library, encoder, [text])
    expected = dict(zip(oracle.segment_ids, oracle.logits[:, 0].tolist(), strict=True))
    found = search(library, text, top_k=200)
    scores = {result["segment_id"]: result["score"] for result in found["results"]}
    assert scores.keys() == expected.keys()
    assert scores == pytest.approx(expected, abs=1e-4)
    ranked = [result["score"] for result in found["results"]]
    assert ranked == sorted(ranked, reverse=True)
    assert len(set(ranked)) > 1


def test_a_result_says_all_a_player_needs(library: Stack):
    """Times, names and URLs agree with the segment and its video."""
    found = search(library, "  blue circle\n", top_k=3)
    assert found["query"] == "blue circle"
    assert len(found["results"]) == 3
    for result in found["results"]:
        video = library.api.get(f"{VIDEOS}/{result['video_id']}").json()
        segments = library.api.get(f"{VIDEOS}/{result['video_id']}/segments").json()["items"]
        segment = next(item for item in segments if item["id"] == result["segment_id"])
        assert (result["start"], result["end"]) == (segment["start"], segment["end"])
        assert (result["filename"], result["metadata"]) == (video["filename"], video["metadata"])
        assert result["thumbnail_url"] == segment["thumbnail_url"]
        start, end = result["start"], result["end"]
        assert result["clip_url"] == f"{video['content_url']}#t={start:g},{end:g}"
        assert result["score_kind"] == "xclip_logit"
    timings = found["timings_ms"]
    assert set(timings) == {"encode", "filter", "recall", "score", "total"}
    assert timings["total"] == pytest.approx(sum(timings.values()) - timings["total"], abs=0.01)


def test_the_index_says_what_was_searched(library: Stack):
    """All 16 segments of the library, exactly, at the collection's sequence."""
    found = search(library, "red")
    assert found["index"] == {
        "segments_total": 16,
        "segments_eligible": 16,
        "segments_damaged": 0,
        "exact": True,
        "recall": None,
        "model": library.settings.model,
        "snapshot": library.catalog.get_collection("default").sequence,
        "filter_keys": {},
    }
    assert len(found["results"]) == 10


@pytest.mark.parametrize(
    ("wanted", "seeds"),
    [
        ({"seed": 2}, {2}),
        ({"seed": [0, 3]}, {0, 3}),
        ({"odd": True}, {1, 3}),
        ({"odd": True, "seed": [2, 3]}, {3}),
        ({"seed": "2"}, set()),
        ({"odd": 1}, set()),
        ({"missing": 1}, set()),
        ({"seed": []}, set()),
    ],
)
def test_a_filter_narrows_before_the_best_are_chosen(
    library: Stack, wanted: dict[str, object], seeds: set[int]
):
    """Only videos with such metadata are eligible, and all of them are still found."""
    found = search(library, "red", filter=wanted, top_k=200)
    assert {result["metadata"]["seed"] for result in found["results"]} == seeds
    lengths = {0: 1, 1: 3, 2: 5, 3: 7}
    eligible = sum(lengths[seed] for seed in seeds)
    assert found["index"]["segments_eligible"] == len(found["results"]) == eligible
    assert found["index"]["segments_total"] == 16
    assert found["index"]["exact"] is True


def test_a_filter_by_video_takes_one_or_several(library: Stack):
    """`video_id` is built in."""
    ids = [video["id"] for video in library.api.get(VIDEOS).json()["items"]][:2]
    one = search(library, "red", filter={"video_id": ids[0]}, top_k=200)
    two = search(library, "red", filter={"video_id": ids}, top_k=200)
    assert {result["video_id"] for result in one["results"]} == {ids[0]}
    assert {result["video_id"] for result in two["results"]} == set(ids)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": " \t\n"},
        {"text": "\u200b\u2060"},
        {"text": "red\0"},
        {"text": "x" * 1001},
        {"text": 5},
        {"text": ["red"]},
        {"text": "red", "top_k": 0},
        {"text": "red", "top_k": 1_001},
        {"text": "red", "top_k": "10"},
        {"text": "red", "top_k": 1.5},
        {"text": "red", "top_k": True},
        {"text": "red", "filter": []},
        {"text": "red", "filter": {"a": "\0"}},
        {"text": "red", "filter": {"a": 2**64}},
        {"text": "red", "filter": {"a": "x" * 140_000}},
        {"text": "red", "topk": 5},
        {"text": "red", "segment_id": "seg_1"},
        {"text": "red", "then": ["red", "blue"]},
        {"segment_id": "seg_1", "then": ["red", "blue"]},
        {"segment_id": "seg_1", "negative_text": "red"},
        {"segment_id": "seg_1", "min_confidence": 0.5},
        {"segment_id": "1"},
        {"then": ["red"]},
        {"then": ["red"] * 6},
        {"then": ["red", " "]},
        {"then": ["red", "blue"], "merge": True},
        {"then": ["red", "blue"], "negative_text": "red"},
        {"then": ["red", "blue"], "within_s": -1},
        {"then": ["red", "blue"], "within_s": 90_000},
        {"text": "red", "within_s": 5},
        {"text": "red", "negative_text": "\u200b"},
        {"text": "red", "min_confidence": 1.1},
        {"text": "red", "min_confidence": -0.1},
        {"text": "red", "max_per_video": 2},
        {"text": "red", "group_by": "video", "max_per_video": 0},
        {"text": "red", "group_by": "camera"},
        {"text": "red", "merge": 1},
        {"text": "red", "after_job": "soon"},
        {"text": "red", "deadline_ms": -1},
        {"text": "red", "deadline_ms": 60_001},
        {"text": "red", "cursor": "a b"},
    ],
    ids=lambda body: str(body)[:60],
)
def test_malformed_questions_are_refused(library: Stack, body: dict[str, object]):
    """Nothing that could not be meant reaches the model."""
    before = len(library.worker.requests)
    assert_problem(library.api.post(SEARCH, json=body), 422, "invalid_request")
    assert len(library.worker.requests) == before


def test_recall_bounds_what_is_scored_and_says_so(library: Stack, encoder: Encoder, tmp_path: Path):
    """With 3 candidates the plain vectors choose 3, the model ranks them, and exact is false."""
    oracle = score_everything(library, encoder, ["blue circle"])
    folder = library.settings.data_dir
    with open_stack(folder, encoder, recall_candidates=3) as narrow:
        found = search(narrow, "blue circle", top_k=2)
        wide = search(narrow, "blue circle", top_k=16)
        few = search(narrow, "blue circle", top_k=2, filter={"seed": 1})
    nearest = np.argsort(-oracle.proxies[:, 0].astype(np.float16), kind="stable")[:3]
    best = sorted(nearest, key=lambda place: -oracle.logits[place, 0])[:2]
    assert [result["segment_id"] for result in found["results"]] == [
        oracle.segment_ids[place] for place in best
    ]
    assert (found["index"]["exact"], found["index"]["segments_eligible"]) == (False, 16)
    assert (wide["index"]["exact"], len(wide["results"])) == (True, 16)
    assert (few["index"]["exact"], few["index"]["segments_eligible"]) == (True, 3)


def test_a_restart_finds_the_same(library: Stack, encoder: Encoder):
    """Vectors are rebuilt from the catalog at the start; nothing of the answer changes."""
    before = search(library, "red", top_k=200)
    with open_stack(library.settings.data_dir, encoder) as restarted:
        after = search(restarted, "red", top_k=200)
    assert after["index"] == before["index"]
    for found, expected in zip(after["results"], before["results"], strict=True):
        # The last digits of a score are the processor's own affair.
        assert found.pop("score") == pytest.approx(expected.pop("score"), abs=1e-4)
        assert found == expected


def test_equal_scores_are_ordered_by_video_and_start(stack: Stack, make_clip: MakeClip):
    """The same pictures twice score the same; the order is still one and the same."""
    clip = make_clip(seconds=1)
    copy = clip.with_name("copy.mp4")
    copy.write_bytes(clip.read_bytes() + b"\0" * 8)
    ids = sorted(stack.ingest(path)["id"] for path in (clip, copy))
    for _ in range(2):
        results = search(stack, "red")["results"]
        assert results[0]["score"] == results[1]["score"]
        assert [result["video_id"] for result in results] == ids


def test_a_succeeded_job_is_searchable_at_once(stack: Stack, make_clip: MakeClip):
    """The search right after each job already sees its video, and the sequence has moved."""
    sequences = []
    for seed in range(3):
        video = stack.ingest(make_clip(f"{seed}.mp4", seconds=1, seed=seed))
        found = search(stack, "red", top_k=200)
        assert video["id"] in {result["video_id"] for result in found["results"]}
        assert found["index"]["segments_total"] == seed + 1
        sequences.append(found["index"]["snapshot"])
    assert sequences == sorted(set(sequences))


def test_an_empty_collection_answers_empty(stack: Stack):
    """No video is no error; the model is not asked to score nothing."""
    found = search(stack, "red")
    assert found["results"] == []
    assert found["index"] == {
        "segments_total": 0,
        "segments_eligible": 0,
        "segments_damaged": 0,
        "exact": True,
        "recall": None,
        "model": stack.settings.model,
        "snapshot": 0,
        "filter_keys": {},
    }
    assert stack.worker.requests == ["/text"]


def test_an_unknown_collection_is_not_found(stack: Stack):
    """404, before the model is asked."""
    answer = stack.api.post("/v1/collections/none/search", json={"text": "red"})
    assert_problem(answer, 404, "collection_not_found")
    assert stack.worker.requests == []


def test_a_worker_that_is_away_is_said_to_be_away(stack: Stack):
    """503 with Retry-After; when it is back, so is search."""
    stack.worker.reachable = False
    answer = stack.api.post(SEARCH, json={"text": "red"})
    assert_problem(answer, 503, "worker_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    stack.worker.reachable = True
    assert search(stack, "red")["results"] == []


def test_a_collection_of_another_model_is_a_conflict(stack: Stack, make_clip: MakeClip):
    """Vectors of one model are never compared with texts of another."""
    stack.upload(make_clip(seconds=1))
    job = stack.catalog.claim_job("other", 30)
    assert job is not None
    stack.catalog.complete_ingest(
        job.id,
        job.lease_token,
        facts=VideoFacts("mp4", "mpeg4", 64, 64, 1.0),
        segments=[NewSegment(0, 0.0, 1.0, TensorReference("other", 0, 1, 0))],
        embeddings=np.ones((1, 4), np.float32) / 2,
        model="motion-tiny",
        fingerprint="of another model",
    )
    body = assert_problem(stack.api.post(SEARCH, json={"text": "red"}), 409, "model_mismatch")
    assert "of another model" in body["detail"]
    classify = stack.api.post("/v1/collections/default/classify", json={"labels": ["red", "blue"]})
    assert_problem(classify, 409, "model_mismatch")


@pytest.mark.parametrize(
    ("wanted", "seeds"),
    [
        (None, {0, 1, 2, 3}),
        ({"seed": {"gte": 1, "ne": 2}}, {1, 3}),
        ({"duration": {"gt": 1.5, "lte": 3.5}}, {1, 2}),
        ({"or": [{"seed": 0}, {"not": {"odd": False}}]}, {0, 1, 3}),
        ({"start": {"gte": 2.5}}, {3}),
        ({"missing": {"ne": 1}, "created": {"gt": "2026-01-01T00:00:00+01:00"}}, {0, 1, 2, 3}),
    ],
)
def test_a_filter_may_say_more_than_equality(
    library: Stack, wanted: dict[str, object] | None, seeds: set[int]
):
    """Operators, combinations and built-in fields reach the catalog as they were sent."""
    results = search(library, "red", filter=wanted, top_k=200)["results"]
    assert {result["metadata"]["seed"] for result in results} == seeds


@pytest.mark.parametrize(
    ("wanted", "place", "words"),
    [
        ({"duration": {"near": 1}}, ["duration", "near"], "the operators are eq, ne"),
        ({"or": [{}, {"duration": "long"}]}, ["or", 1, "duration"], "number of seconds"),
        ({"a": [1] * 1001}, ["a"], "1000 values"),
        ({"x" * 300: {}}, ["x" * 200], "name an operator"),
    ],
)
@pytest.mark.parametrize("route", ["search", "classify"])
def test_a_filter_that_says_nothing_is_explained(
    library: Stack, route: str, wanted: dict[str, object], place: list[object], words: str
):
    """422 with the place in the body and a sentence, before the model is asked."""
    before = len(library.worker.requests)
    asked = {"text": "red"} if route == "search" else {"labels": ["red", "blue"]}
    url = f"/v1/collections/default/{route}"
    body = assert_problem(
        library.api.post(url, json=asked | {"filter": wanted}), 422, "invalid_filter"
    )
    (error,) = body["errors"]
    assert error["loc"] == ["body", "filter", *place]
    assert words in error["msg"]
    assert len(library.worker.requests) == before
