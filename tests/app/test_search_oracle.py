"""Search against brute force: the filter read in Python, every score by the encoder, a plain sort.

Collections, filters, deletions and questions are random; the service is the real one.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.catalog.records import Video
from tests.app import metadata_filters
from tests.app.planted import (
    Contents,
    ask,
    create,
    load_strongly_conditioned,
    plant,
    random_videos,
    read_contents,
)
from tests.app.stack import Stack, open_stack
from xclip.confidence.calibration import Background, Calibration, calibration_features, sigmoid
from xclip.confidence.model_file import ConfidenceModel
from xclip.encoder import Encoder
from xclip.text_bank import bank_digest, says_the_same

TEXTS = ["a red square moves left", "blue circle", "down", "up right", "circle", "square up"]
NOISE = 1e-4  # of a logit, from one batch to another
CUT_NOISE = 1e-5  # of an inner product in single precision
BACKGROUND_SEGMENTS = 12


@dataclass(frozen=True, repr=False, eq=False)
class Judge:
    """A confidence model that is in the service's folder under the name `tiny`."""

    model: ConfidenceModel
    bank: np.ndarray

    def confidence(
        self, encoder: Encoder, contents: Contents, text: str, eligible: int
    ) -> np.ndarray:
        """The chances of every segment for one text, shape = (K,)."""
        embedding = encoder.encode_text([text])
        background = Background.of(encoder.score(embedding, self.model.background))
        bank = encoder.score(self.bank, contents.stored).astype(np.float16)
        logits = encoder.score(embedding, contents.stored)
        features = calibration_features(
            logits, background, bank, says_the_same(embedding, self.bank)
        )
        return self.model.calibration.confidence(features, eligible)[:, 0]


@pytest.fixture(scope="module")
def strong(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_strongly_conditioned(encoder, tmp_path_factory.mktemp("strong") / "checkpoint")


@pytest.fixture(scope="module")
def served(strong: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack(tmp_path_factory.mktemp("oracle"), strong) as opened:
        yield opened


@pytest.fixture(scope="module")
def judge(served: Stack, strong: Encoder) -> Judge:
    background = random_videos(strong, BACKGROUND_SEGMENTS, np.random.default_rng(7))
    calibration = Calibration((0.7, 0.2, 0.3, 0.1), bias=3.0, fitted=True)
    model = ConfidenceModel(strong.fingerprint, bank_digest(strong.bank), calibration, background)
    path = served.settings.layout.calibrations / "tiny.safetensors"
    model.save(path)
    return Judge(ConfidenceModel.load(path), strong.encode_text(list(strong.bank)))


names = (f"random-{number}" for number in itertools.count())


def random_collection(
    served: Stack, encoder: Encoder, data: st.DataObject
) -> tuple[str, list[Video]]:
    """A collection that several videos came to, and those of them that did not leave."""
    name = next(names)
    create(served, name)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    planned = st.lists(
        st.tuples(st.integers(1, 6), metadata_filters.metadata), min_size=1, max_size=6
    )
    videos = [
        plant(served, encoder, rng, segments=segments, metadata=metadata, collection=name)
        for segments, metadata in data.draw(planned, "videos")
    ]
    gone = data.draw(st.sets(st.integers(1, 5)), "deleted")
    for number in sorted(gone & set(range(len(videos))), reverse=True):
        served.catalog.delete_video(name, videos.pop(number).id)
    served.catalog.set_recall_candidates(
        name, data.draw(st.none() | st.integers(1, 8), "recall_candidates")
    )
    return name, videos


def questions(videos: list[Video]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"text": st.sampled_from(TEXTS), "top_k": st.integers(1, 25)},
        optional={
            "negative_text": st.sampled_from(TEXTS),
            "filter": metadata_filters.filters(videos),
            "group_by": st.just("video"),
        },
    )


@dataclass(frozen=True)
class Expected:
    """What may be answered, by segment id.

    clear : whether the recalled segments are told from the others by more than rounding
    """

    scores: dict[str, float]
    confidence: dict[str, float]
    video_of: dict[str, str]
    eligible: int
    clear: bool


def expect(
    contents: Contents, question: dict[str, Any], candidates: int | None, judge: Judge
) -> Expected:
    """Filter everything, take the nearest by plain vectors, score those by the model."""
    encoder, wanted = contents.encoder, question.get("filter", {})
    eligible = [
        number
        for number, segment in enumerate(contents.segments)
        if metadata_filters.allows(wanted, contents.videos[number], segment)
    ]
    text, negative = question["text"], question.get("negative_text")
    proxies = contents.proxies(encoder.encode_text([text])[0])
    count = max(candidates or 200, question["top_k"])
    nearest = sorted(eligible, key=lambda number: -proxies[number])
    recalled = nearest[:count]
    clear = len(nearest) <= count or bool(
        proxies[nearest[count - 1]] - proxies[nearest[count]] > CUT_NOISE
    )
    scores = contents.logits([text])[:, 0] if contents.segments else np.empty(0)
    chances = judge.confidence(encoder, contents, text, len(eligible))
    if negative is not None:
        lead = scores - contents.logits([negative])[:, 0]
        scores = scores + np.log(1 / (1 + np.exp(-lead)))
        chances = chances * sigmoid(lead)
    ids = [segment.id for segment in contents.segments]
    return Expected(
        {ids[number]: float(scores[number]) for number in recalled},
        {ids[number]: float(chances[number]) for number in recalled},
        {segment.id: segment.video_id for segment in contents.segments},
        len(eligible),
        clear,
    )


def assert_ranked(found: list[tuple[str, float]], scores: dict[str, float], count: int) -> None:
    """`found` are the best `count` of `scores`, in order but for what rounding can exchange."""
    assert len(found) == min(count, len(scores))
    assert len({name for name, _ in found}) == len(found)
    best = sorted(scores.values(), reverse=True)
    for (name, score), expected in zip(found, best, strict=False):
        assert score == pytest.approx(scores[name], abs=NOISE)
        assert score == pytest.approx(expected, abs=NOISE)


def assert_grouped(
    found: list[tuple[str, float]], expected: Expected, top_k: int, each: int
) -> None:
    """The best `top_k` videos one after the other, of each its best segments."""
    of_video: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for name, score in expected.scores.items():
        of_video[expected.video_of[name]][name] = score
    blocks = [
        (video, list(block))
        for video, block in itertools.groupby(found, key=lambda one: expected.video_of[one[0]])
    ]
    best = {video: max(scores.values()) for video, scores in of_video.items()}
    assert_ranked([(video, block[0][1]) for video, block in blocks], best, top_k)
    for video, block in blocks:
        assert_ranked(block, of_video[video], each)


def assert_answered(answer: dict[str, Any], question: dict[str, Any], expected: Expected) -> None:
    results = answer["results"]
    found = [(result["segment_id"], result["score"]) for result in results]
    top_k, each = question["top_k"], question.get("max_per_video", 1)
    if "group_by" in question:
        assert_grouped(found, expected, top_k, each)
        entries = len({expected.video_of[name] for name in expected.scores})
    else:
        assert_ranked(found, expected.scores, top_k)
        entries = len(expected.scores)
    assert (answer["next_cursor"] is not None) == (entries > top_k)
    for result in results:
        assert result["confidence"] == pytest.approx(
            expected.confidence[result["segment_id"]], abs=2e-3
        )


# Shrinking a failure through a real service takes minutes, and the examples are small as it is.
@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_answers_are_those_of_brute_force(
    served: Stack, strong: Encoder, judge: Judge, data: st.DataObject
) -> None:
    """Whatever is kept and asked: the right segments, in the right order, with the right numbers.

    Also with fewer candidates than segments: then of those the nearest by plain vectors.
    """
    name, videos = random_collection(served, strong, data)
    served.catalog.set_calibration(name, "tiny")
    candidates = served.catalog.get_collection(name).recall_candidates
    contents = read_contents(served, strong, name)
    for question in data.draw(st.lists(questions(videos), min_size=10, max_size=10), "questions"):
        if "group_by" in question:
            question["max_per_video"] = data.draw(st.integers(1, 4))
        expected = expect(contents, question, candidates, judge)
        answer = ask(served, name, **question)
        assert answer["index"]["segments_total"] == len(contents.segments)
        assert answer["index"]["segments_eligible"] == expected.eligible
        assert answer["index"]["exact"] == (len(expected.scores) == expected.eligible)
        if not expected.clear:
            continue
        assert_answered(answer, question, expected)
        least = data.draw(least_confidences(expected), "min_confidence")
        sure = {name: expected.confidence[name] >= least for name in expected.scores}
        kept = {name: score for name, score in expected.scores.items() if sure[name]}
        certain = ask(served, name, **question, min_confidence=least)
        assert_answered(certain, question, replace(expected, scores=kept))
        assert certain["abstained"] == (not kept and bool(expected.scores))


def least_confidences(expected: Expected) -> st.SearchStrategy[float]:
    """Thresholds that no segment is so near to that rounding decides."""
    chances = sorted({0.0, 1.0, *expected.confidence.values()})
    gaps = [(low + high) / 2 for low, high in itertools.pairwise(chances) if high - low > 0.01]
    return st.sampled_from([0.0, *gaps])
