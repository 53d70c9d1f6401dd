"""Labels that need not fit: `none_of_these`, and `mode: "multi"`. With motion-tiny, which has a
bank and a calibration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.model_api.tensor_records import stack_records
from tests.app.stack import CLASSIFY, VIDEOS, Stack, assert_problem, open_stack
from xclip.confidence.calibration import Background, calibration_features
from xclip.confidence.model_file import CONFIDENCE_FILE, ConfidenceModel
from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.hub import locate
from xclip.motion.clips import ClipPlan, long_clips
from xclip.motion.world import Subject
from xclip.text_bank import says_the_same

SHOWN = tuple(
    Subject(colour, shape, motion)
    for colour, shape, motion in (
        ("red", "circle", "left"),
        ("green", "square", "up"),
        ("blue", "star", "grow"),
        ("yellow", "ring", "right"),
        ("white", "triangle", "down"),
        ("cyan", "square", "shrink"),
    )
)
ABSENT = Subject("purple", "star", "down")


@pytest.fixture(scope="module")
def motion() -> Encoder:
    return load_encoder("motion-tiny", device="cpu", num_threads=1)


@pytest.fixture(scope="module")
def plan() -> ClipPlan:
    """One clip of several events."""
    return long_clips(np.random.default_rng(4), 1, SHOWN)[0]


@pytest.fixture(scope="module")
def clip(plan: ClipPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plan.write(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def moving(
    motion: Encoder, clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("data")
    with open_stack(folder, motion, window_s=5.0, stride_s=2.5) as stack:
        assert stack.ingest(clip)["status"] == "ready"
        yield stack


def ask(stack: Stack, **body: Any) -> dict[str, Any]:
    answer = stack.api.post(CLASSIFY, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["videos"][0]


def stored(stack: Stack, encoder: Encoder, texts: list[str]) -> np.ndarray:
    """Logits of the stored segments in order of time, (K, N), by the encoder alone."""
    video = stack.api.get(VIDEOS).json()["items"][0]
    segments = stack.catalog.list_segments("default", video["id"])
    records = stack.tensors.read([segment.tensor for segment in segments])
    return encoder.score(encoder.encode_text(texts), stack_records(records))


def same_as(encoder: Encoder, labels: list[str]) -> np.ndarray:
    return says_the_same(encoder.encode_text(labels), encoder.encode_text(list(encoder.bank)))


def test_none_of_these_is_the_share_of_the_bank(moving: Stack, motion: Encoder, plan: ClipPlan):
    """Labels compete with every text of the bank that does not mean one of them."""
    labels = [plan.events[0].caption, ABSENT.caption]
    besides = ~same_as(motion, labels).any(axis=0)
    bank = [text for text, counts in zip(motion.bank, besides, strict=True) if counts]
    assert len(bank) < len(motion.bank)
    everything = stored(moving, motion, [*labels, *bank]).astype(np.float64)
    shares = np.exp(everything - everything.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    found = ask(moving, labels=labels, none_of_these=True)
    for segment, row in zip(found["segments"], shares, strict=True):
        assert list(segment["scores"].values()) == pytest.approx(row[:2].tolist(), abs=2e-3)
        assert segment["none_of_these"] == pytest.approx(row[2:].sum(), abs=2e-3)
        assert sum(segment["scores"].values()) + segment["none_of_these"] == pytest.approx(1)
    means = [segment["none_of_these"] for segment in found["segments"]]
    assert found["none_of_these"] == pytest.approx(np.mean(means))
    first, last = found["segments"][0], found["segments"][-1]
    assert first["scores"][labels[0]] > 0.3
    assert last["none_of_these"] > 0.9  # another event, neither label


def test_without_asking_nothing_else_competes(moving: Stack, plan: ClipPlan):
    """The labels' probabilities add up to 1, and no such field is answered."""
    found = ask(moving, labels=[plan.events[0].caption, ABSENT.caption])
    assert sum(found["scores"].values()) == pytest.approx(1)
    assert "none_of_these" not in found
    assert "none_of_these" not in found["segments"][0]


def test_in_mode_multi_every_label_has_its_own_confidence(
    moving: Stack, motion: Encoder, plan: ClipPlan
):
    """By the model's calibration, as if the segment were the only one; a video's is the highest."""
    labels = [plan.events[0].caption, plan.events[1].caption, ABSENT.caption]
    model = ConfidenceModel.load(locate("motion-tiny").folder / CONFIDENCE_FILE)
    texts = motion.encode_text(labels)
    features = calibration_features(
        stored(moving, motion, labels),
        Background.of(motion.score(texts, model.background)),
        stored(moving, motion, list(motion.bank)),
        same_as(motion, labels),
    )
    expected = model.calibration.confidence(features, 1)
    found = ask(moving, labels=labels, mode="multi")
    for segment, row in zip(found["segments"], expected, strict=True):
        assert list(segment["scores"].values()) == pytest.approx(row.tolist(), abs=2e-2)
    assert found["scores"] == {
        label: max(segment["scores"][label] for segment in found["segments"]) for label in labels
    }
    assert found["scores"][labels[0]] > 0.5
    assert found["scores"][labels[1]] > 0.5
    assert found["scores"][labels[2]] < 0.5


def test_an_upload_is_labelled_in_the_same_ways(moving: Stack, clip: Path, plan: ClipPlan):
    """What is not kept gets what the stored video gets, up to the rounding of what is stored."""
    labels = [plan.events[0].caption, ABSENT.caption]
    for options in ({"none_of_these": True}, {"mode": "multi"}):
        kept = ask(moving, labels=labels, **options)
        fields = {"labels": labels, "window_s": 5.0, "stride_s": 2.5, **options}
        answer = moving.api.post(
            "/v1/classify",
            files={"file": (clip.name, clip.read_bytes())},
            data={name: json.dumps(value) for name, value in fields.items()},
        )
        assert answer.status_code == 200, answer.text
        passing = answer.json()
        assert passing["scores"] == pytest.approx(kept["scores"], abs=2e-2)
        assert passing.get("none_of_these") == pytest.approx(kept.get("none_of_these"), abs=2e-2)


def test_a_model_without_calibration_has_no_mode_multi(library: Stack):
    """The refusal says how to get one."""
    answer = library.api.post(CLASSIFY, json={"labels": ["red", "blue"], "mode": "multi"})
    assert "xclip-search calibrate" in assert_problem(answer, 409, "not_calibrated")["detail"]


def test_none_of_these_makes_no_sense_where_none_needs_to_fit(library: Stack):
    """In mode multi that is what low numbers say."""
    body = {"labels": ["red", "blue"], "mode": "multi", "none_of_these": True}
    assert_problem(library.api.post(CLASSIFY, json=body), 422, "invalid_request")


def test_none_of_these_needs_all_labels_at_once(library: Stack):
    """More labels than go to the model in one call are refused in words."""
    body = {"labels": [f"label {number}" for number in range(1_001)], "none_of_these": True}
    answer = library.api.post(CLASSIFY, json=body)
    assert "1000" in assert_problem(answer, 422, "invalid_request")["detail"]
