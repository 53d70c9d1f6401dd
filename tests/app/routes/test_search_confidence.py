"""Confidence in searches: with motion-tiny, which has a calibration, and with a model without."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.app.planted import ask, plant, read_contents, url
from tests.app.stack import SEARCH, VIDEOS, Stack, assert_problem, open_stack
from xclip.confidence.calibration import Background, calibration_features
from xclip.confidence.model_file import CONFIDENCE_FILE, ConfidenceModel
from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.hub import locate
from xclip.motion.clips import sample_clips
from xclip.motion.world import Subject
from xclip.text_bank import says_the_same

SHOWN = [
    Subject("red", "circle", "left"),
    Subject("green", "square", "up"),
    Subject("blue", "star", "grow"),
    Subject("yellow", "ring", "right"),
]
ABSENT = "a man reading a newspaper in a train"


@pytest.fixture(scope="module")
def motion() -> Encoder:
    return load_encoder("motion-tiny", device="cpu", num_threads=1)


@pytest.fixture(scope="module")
def moving(motion: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A clip of each of the subjects, named after what it shows."""
    clips = tmp_path_factory.mktemp("clips")
    with open_stack(tmp_path_factory.mktemp("data"), motion, window_s=5.0, stride_s=2.5) as stack:
        for plan in sample_clips(np.random.default_rng(3), len(SHOWN), SHOWN):
            metadata = f'{{"shows": "{plan.events[0].caption}"}}'
            video = stack.ingest(plan.write(clips), metadata=metadata)
            assert video["status"] == "ready", video
        yield stack


def test_confidence_is_the_models_calibration_of_what_is_stored(moving: Stack, motion: Encoder):
    """Placed on the background and in the bank, and shared among the eligible segments."""
    text = SHOWN[0].caption
    answer = ask(moving, text=text, top_k=50)
    contents = read_contents(moving, motion, "default")
    model = ConfidenceModel.load(locate(motion.name).folder / CONFIDENCE_FILE)
    bank = motion.encode_text(list(motion.bank))
    texts = motion.encode_text([text])
    logits = motion.score(texts, contents.stored)
    features = calibration_features(
        logits,
        Background.of(motion.score(texts, model.background)),
        motion.score(bank, contents.stored),
        says_the_same(texts, bank),
    )
    expected = model.calibration.confidence(features, len(contents.segments))[:, 0]
    found = {result["segment_id"]: result["confidence"] for result in answer["results"]}
    ids = [segment.id for segment in contents.segments]
    assert found == pytest.approx(dict(zip(ids, expected, strict=True)), abs=0.01)
    assert answer["confidence_kind"] == "calibrated"
    assert answer["abstained"] is False


@pytest.mark.parametrize("subject", SHOWN, ids=lambda subject: subject.caption)
def test_what_is_shown_is_surer_than_what_is_not(moving: Stack, subject: Subject):
    """The clip that shows it comes first, and is kept by a threshold that cuts everything else."""
    answer = ask(moving, text=subject.caption, min_confidence=0.5)
    assert {result["metadata"]["shows"] for result in answer["results"]} == {subject.caption}
    assert answer["abstained"] is False


def test_nothing_certain_enough_is_an_empty_answer_that_says_so(moving: Stack):
    """Not the least bad results: none, and `abstained`."""
    for options in ({}, {"merge": True}, {"group_by": "video"}):
        answer = ask(moving, text=ABSENT, min_confidence=0.5, **options)
        assert (answer["results"], answer["abstained"]) == ([], True)
        assert answer["next_cursor"] is None
        assert ask(moving, text=ABSENT, **options)["abstained"] is False


def test_a_negative_text_that_fits_as_well_halves_the_chance(moving: Stack):
    """The same text on both sides leaves even odds."""
    text = SHOWN[1].caption
    plain = ask(moving, text=text)["results"]
    torn = ask(moving, text=text, negative_text=text)["results"]
    for one, other in zip(plain, torn, strict=True):
        assert other["segment_id"] == one["segment_id"]
        assert other["confidence"] == pytest.approx(one["confidence"] / 2, abs=1e-6)


def test_fewer_segments_to_choose_from_make_a_match_surer(moving: Stack):
    """A filter narrows what could have scored as high by chance."""
    text = SHOWN[2].caption
    wide = ask(moving, text=text, top_k=1)["results"][0]
    narrow = ask(moving, text=text, top_k=1, filter={"video_id": wide["video_id"]})["results"][0]
    assert narrow["segment_id"] == wide["segment_id"]
    assert narrow["confidence"] > wide["confidence"]


def test_a_heatmap_is_as_sure_as_its_surest_segment(moving: Stack):
    """Each piece has the highest confidence of the segments over it."""
    text = SHOWN[3].caption
    video = ask(moving, text=text, top_k=1)["results"][0]["video_id"]
    of_it = ask(moving, text=text, filter={"video_id": video})["results"]
    answer = moving.api.get(f"{VIDEOS}/{video}/heatmap", params={"q": text}).json()
    assert answer["confidence_kind"] == "calibrated"
    for piece in answer["pieces"]:
        surest = max(
            result["confidence"]
            for result in of_it
            if result["start"] <= piece["start"] and piece["end"] <= result["end"]
        )
        assert piece["confidence"] == pytest.approx(surest, abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"merge": True}, {"group_by": "video"}], ids=str)
def test_a_model_without_calibration_cannot_be_asked_for_certainty(
    stack: Stack, encoder: Encoder, options: dict[str, object]
):
    """409 rather than a threshold over numbers that nothing backs; the results have null."""
    plant(stack, encoder, np.random.default_rng(1))
    asked = {"text": "red", **options}
    body = assert_problem(
        stack.api.post(SEARCH, json={**asked, "min_confidence": 0.5}), 409, "not_calibrated"
    )
    assert "calibrate" in body["detail"]
    answer = ask(stack, **asked)
    assert {result["confidence"] for result in answer["results"]} == {None}
    assert (answer["confidence_kind"], answer["abstained"]) == (None, False)


def test_an_empty_collection_does_not_abstain(stack: Stack):
    """There was nothing that could have been certain."""
    answer = ask(stack, text="red", min_confidence=0.5)
    assert (answer["results"], answer["abstained"]) == ([], False)


def test_a_calibration_that_is_lost_is_said(stack: Stack, encoder: Encoder):
    """The collection names one, its file is gone: no search without it, and no path told."""
    plant(stack, encoder, np.random.default_rng(1))
    stack.catalog.set_calibration("default", "gone")
    answer = stack.api.post(url("default"), json={"text": "red"})
    body = assert_problem(answer, 409, "calibration_unusable")
    assert str(stack.settings.data_dir) not in body["detail"]
