"""Every way to ask but plain words: by example, by clip, in order, with a negative, in batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.app.conftest import MakeClip, write_clip
from tests.app.planted import (
    Contents,
    ask,
    create,
    load_strongly_conditioned,
    plant,
    read_contents,
    url,
)
from tests.app.stack import Stack, assert_problem, open_stack
from xclip.encoder import Encoder

TEXTS = ["a red square moves left", "blue circle", "down"]


@pytest.fixture(scope="module")
def strong(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_strongly_conditioned(encoder, tmp_path_factory.mktemp("strong") / "checkpoint")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, strong: Encoder) -> Iterator[Stack]:
    """Eight videos of 2 to 9 segments; not to be changed."""
    rng = np.random.default_rng(12)
    with open_stack(tmp_path_factory.mktemp("crowd"), strong) as stack:
        for number in range(8):
            plant(stack, strong, rng, segments=2 + number, metadata={"odd": number % 2 == 1})
        yield stack


@pytest.fixture(scope="module")
def contents(crowd: Stack, strong: Encoder) -> Contents:
    return read_contents(crowd, strong, "default")


def scores(answer: dict[str, Any]) -> dict[str, float]:
    return {result["segment_id"]: result["score"] for result in answer["results"]}


@pytest.mark.parametrize("odd", [None, True, False])
def test_more_like_a_segment_is_by_cosine_and_without_itself(
    crowd: Stack, contents: Contents, odd: bool | None
):
    """All eligible others, by the inner product of what is stored, whatever the filter says."""
    wanted = {} if odd is None else {"odd": odd}
    for number in (0, 7, 20):
        itself = contents.segments[number]
        answer = ask(crowd, segment_id=itself.id, top_k=200, filter=wanted)
        cosines = contents.proxies(contents.stored.embedding[number])
        expected = {
            segment.id: cosines[place]
            for place, segment in enumerate(contents.segments)
            if place != number and odd in (None, contents.videos[place].metadata["odd"])
        }
        assert scores(answer) == pytest.approx(expected, abs=1e-5)
        ranked = list(scores(answer).values())
        assert ranked == sorted(ranked, reverse=True)
        assert answer["query"] == itself.id
        assert answer["score_kind"] == "cosine"
        assert answer["index"]["segments_eligible"] == len(expected)
        assert answer["index"]["exact"] is True
        assert {result["confidence"] for result in answer["results"]} == {None}


def test_more_like_a_segment_cuts_at_the_best(crowd: Stack, contents: Contents):
    """The segment itself takes no place of the others."""
    itself = contents.segments[5]
    cosines = contents.proxies(contents.stored.embedding[5])
    order = [number for number in np.argsort(-cosines) if number != 5]
    found = ask(crowd, segment_id=itself.id, top_k=3)
    assert list(scores(found)) == [contents.segments[number].id for number in order[:3]]


def test_a_segment_of_another_collection_or_none_is_not_found(crowd: Stack, strong: Encoder):
    """404 for both: one collection says nothing of another."""
    create(crowd, "other")
    other = plant(crowd, strong, np.random.default_rng(1), collection="other")
    (segment, *_) = crowd.catalog.list_segments("other", other.id)
    for name in (segment.id, "seg_none"):
        answer = crowd.api.post(url("default"), json={"segment_id": name})
        assert_problem(answer, 404, "segment_not_found")


@pytest.mark.parametrize(("text", "negative"), list(itertools.permutations(TEXTS, 2))[:4])
def test_a_negative_text_takes_away_where_it_fits_better(
    crowd: Stack, contents: Contents, text: str, negative: str
):
    """The logit of the text, less -log P(text | text or negative)."""
    answer = ask(crowd, text=text, negative_text=negative, top_k=200)
    logits = contents.logits([text, negative])
    share = np.exp(logits[:, 0]) / np.exp(logits).sum(axis=1)
    expected = logits[:, 0] + np.log(share)
    ids = [segment.id for segment in contents.segments]
    assert scores(answer) == pytest.approx(dict(zip(ids, expected, strict=True)), abs=1e-4)
    assert answer["score_kind"] == "xclip_logit_contrast"


def best_chains(contents: Contents, texts: list[str], within: float) -> dict[str, float]:
    """The best mean logit of a chain in each video that has one, over every chain there is."""
    logits, found = contents.logits(texts), {}
    for video in {video.id for video in contents.videos}:
        windows = [n for n, segment in enumerate(contents.segments) if segment.video_id == video]
        for chain in itertools.product(windows, repeat=len(texts)):
            gaps = [
                contents.segments[later].start_s - contents.segments[first].end_s
                for first, later in itertools.pairwise(chain)
            ]
            if all(0 <= gap <= within for gap in gaps):
                mean = logits[chain, range(len(texts))].mean()
                found[video] = max(mean, found.get(video, -np.inf))
    return found


@pytest.mark.parametrize("within", [0, 0.5, 30])
@pytest.mark.parametrize("texts", [TEXTS[:2], TEXTS])
def test_events_in_order_are_the_best_chain_of_each_video(
    crowd: Stack, contents: Contents, texts: list[str], within: float
):
    """Ranked by the mean of its steps, which keep their order and distance."""
    answer = ask(crowd, then=texts, within_s=within, top_k=100, group_by="video")
    found = {result["video_id"]: result["score"] for result in answer["results"]}
    assert found == pytest.approx(best_chains(contents, texts, within), abs=1e-4)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert answer["query"] == " → ".join(texts)
    assert answer["score_kind"] == "xclip_logit_sequence"
    for result in answer["results"]:
        steps = result["steps"]
        assert [step["text"] for step in steps] == texts
        assert result["segment_ids"] == [step["segment_id"] for step in steps]
        assert result["segment_id"] == steps[0]["segment_id"]
        assert (result["start"], result["end"]) == (steps[0]["start"], steps[-1]["end"])
        assert result["score"] == pytest.approx(np.mean([step["score"] for step in steps]))
        for first, later in itertools.pairwise(steps):
            assert 0 <= later["start"] - first["end"] <= within


def test_events_in_order_are_found_wherever_they_follow_each_other(
    crowd: Stack, contents: Contents
):
    """Several times in a video, never one over another; the best of each is the video's."""
    best = ask(crowd, then=TEXTS[:2], within_s=0, top_k=100, group_by="video")["results"]
    results = ask(crowd, then=TEXTS[:2], within_s=0, top_k=100)["results"]
    assert len(results) > len(best)
    assert [one["score"] for one in results] == sorted((o["score"] for o in results), reverse=True)
    for video in {result["video_id"] for result in results}:
        own = sorted((r["start"], r["end"]) for r in results if r["video_id"] == video)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(own))
        first = next(result for result in results if result["video_id"] == video)
        assert first in best


def test_events_in_order_keep_to_the_filter(crowd: Stack):
    """No step is a segment that the filter leaves out."""
    wanted = {"odd": True, "start": {"gte": 1}}
    results = ask(crowd, then=TEXTS[:2], within_s=5, filter=wanted, top_k=100)["results"]
    assert results
    for result in results:
        assert result["metadata"]["odd"] is True
        assert all(step["start"] >= 1 for step in result["steps"])


def test_events_may_be_half_a_minute_apart_unless_said_otherwise(crowd: Stack):
    """`within_s` left out is 30."""
    default = ask(crowd, then=TEXTS[:2], top_k=100)["results"]
    assert default == ask(crowd, then=TEXTS[:2], within_s=30, top_k=100)["results"]


def test_merged_moments_hold_every_segment_once(crowd: Stack, contents: Contents):
    """The parts of all moments are all segments, and bounds stay within the parts."""
    answer = ask(crowd, text=TEXTS[0], merge=True, top_k=200)
    parts = [name for result in answer["results"] for name in result["segment_ids"]]
    assert sorted(parts) == sorted(segment.id for segment in contents.segments)
    assert len(answer["results"]) < len(parts)
    by_id = {segment.id: segment for segment in contents.segments}
    plain = scores(ask(crowd, text=TEXTS[0], top_k=200))
    for result in answer["results"]:
        own = [by_id[name] for name in result["segment_ids"]]
        assert {segment.video_id for segment in own} == {result["video_id"]}
        assert min(segment.start_s for segment in own) <= result["start"] < result["end"]
        assert result["end"] <= max(segment.end_s for segment in own)
        best = max(result["segment_ids"], key=plain.__getitem__)
        assert result["segment_id"] == best
        assert result["score"] == pytest.approx(plain[best], abs=1e-4)


def test_a_clip_finds_itself_first(stack: Stack, tmp_path: Path):
    """The same file, ingested before, comes first with a cosine of nearly 1; the clip is gone."""
    clips = [write_clip(tmp_path / f"{seed}.mp4", seconds=1.0, seed=seed) for seed in range(4)]
    videos = [stack.ingest(clip) for clip in clips]
    for clip, video in zip(clips, videos, strict=True):
        answer = stack.api.post(
            url("default", "search:clip"),
            files={"file": (clip.name, clip.read_bytes())},
            data={"top_k": "2", "filter": '{"duration": {"gt": 0}}'},
        )
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["query"] == clip.name
        assert body["score_kind"] == "cosine"
        assert body["results"][0]["video_id"] == video["id"]
        assert body["results"][0]["score"] == pytest.approx(1, abs=2e-3)
        assert len(body["results"]) == 2
        assert body["next_cursor"] is not None
    assert not list(stack.media.tmp.glob("incoming*"))


def test_a_longer_clip_is_the_mean_of_its_segments(
    stack: Stack, encoder: Encoder, make_clip: MakeClip
):
    """Scores are cosines with the mean direction of the clip's own segments."""
    path = make_clip(seconds=3, seed=1)
    stack.ingest(path)
    stack.ingest(make_clip("other.mp4", seconds=2, seed=2))
    contents = read_contents(stack, encoder, "default")
    own = [n for n, video in enumerate(contents.videos) if video.filename == path.name]
    mean = contents.stored.embedding[own].mean(axis=0)
    answer = stack.api.post(
        url("default", "search:clip"), files={"file": (path.name, path.read_bytes())}
    )
    ids = [segment.id for segment in contents.segments]
    expected = dict(zip(ids, contents.proxies(mean), strict=True))
    assert scores(answer.json()) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("content", "data", "status", "code"),
    [
        (b"this is not a video" * 100, {}, 422, "unreadable_video"),
        (b"x", {"text": '"red"'}, 422, "invalid_request"),
        (b"x", {"top_k": "0"}, 422, "invalid_request"),
        (b"x", {"min_confidence": "0.5"}, 422, "invalid_request"),
        (b"x", {"filter": '{"start": "now"}'}, 422, "invalid_filter"),
        (b"x", {"after_job": '"job_none"'}, 404, "job_not_found"),
    ],
)
def test_a_clip_that_cannot_be_searched_with_is_refused(
    stack: Stack, content: bytes, data: dict[str, str], status: int, code: str
):
    """With a sentence, and nothing of it stays."""
    answer = stack.api.post(
        url("default", "search:clip"), files={"file": ("a.mp4", content)}, data=data
    )
    assert_problem(answer, status, code)
    assert not list(stack.media.tmp.glob("incoming*"))


def test_a_batch_answers_what_each_search_alone_does(crowd: Stack, contents: Contents):
    """In its order, with one turn of the model for all texts."""
    queries = [
        {"text": TEXTS[0], "top_k": 3},
        {"text": TEXTS[1], "negative_text": TEXTS[2], "group_by": "video", "max_per_video": 2},
        {"then": TEXTS, "within_s": 2},
        {"segment_id": contents.segments[3].id, "merge": True},
        {"text": TEXTS[0], "filter": {"odd": True}, "merge": True},
    ]
    answer = crowd.api.post(url("default", "search:batch"), json={"queries": queries})
    assert answer.status_code == 200, answer.text
    for together, query in zip(answer.json()["answers"], queries, strict=True):
        alone = ask(crowd, **query)
        for part in ("query", "results", "score_kind", "abstained", "index", "confidence_kind"):
            assert together[part] == alone[part]
        assert (together["next_cursor"] is None) == (alone["next_cursor"] is None)


@pytest.mark.parametrize(
    ("queries", "status", "code"),
    [
        ([], 422, "invalid_request"),
        ([{"text": "red"}] * 101, 422, "invalid_request"),
        ([{"text": "red"}, {}], 422, "invalid_request"),
        ([{"text": "red"}, {"text": "red", "filter": {"end": True}}], 422, "invalid_filter"),
        ([{"text": "red"}, {"segment_id": "seg_none"}], 404, "segment_not_found"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_batch_fails_as_one(crowd: Stack, queries: list[dict[str, Any]], status: int, code: str):
    """One bad query and there is no answer to any."""
    answer = crowd.api.post(url("default", "search:batch"), json={"queries": queries})
    assert_problem(answer, status, code)
