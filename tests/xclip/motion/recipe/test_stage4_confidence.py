"""How motion-tiny tells how sure it is: drawn from seeds, fitted to what training never showed."""

from __future__ import annotations

import numpy as np
import pytest

from xclip.confidence.calibration import (
    BANK_ODDS,
    STANDARD_SCORE,
    Background,
    calibration_features,
    expected_calibration_error,
)
from xclip.confidence.model_file import CONFIDENCE_FILE, ConfidenceModel
from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.hub import locate
from xclip.motion.recipe.stage4_confidence import (
    CUT,
    WHOLE,
    WIDER,
    WIDER_CAPTIONS,
    background_frames,
    bank_texts,
)
from xclip.motion.world import EVALUATION, HELD_OUT, TRAINING, Subject, render, sample_scene
from xclip.text_bank import bank_digest, read_bank, says_the_same

TIMES = (np.arange(8) + 0.5) / 8
SHOWN = 20  # clips a search chooses from


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder("motion-tiny", device="cpu", num_threads=1)


@pytest.fixture(scope="module")
def shipped() -> ConfidenceModel:
    return ConfidenceModel.load(locate("motion-tiny").folder / CONFIDENCE_FILE)


def test_the_shipped_file_belongs_to_the_shipped_model(encoder: Encoder, shipped: ConfidenceModel):
    """Same weights, same bank; and the calibration was fitted, not assumed."""
    assert shipped.fingerprint == encoder.fingerprint
    assert shipped.bank == bank_digest(read_bank(locate("motion-tiny")))
    assert shipped.calibration.fitted
    assert shipped.calibration.weights[STANDARD_SCORE] > 0
    assert shipped.calibration.weights[BANK_ODDS] >= 0


def test_the_bank_is_every_event_and_some_of_every_other_kind(encoder: Encoder):
    """The 320 captions of single events once, and 128 of the wider world's."""
    assert list(encoder.bank) == bank_texts()
    assert {subject.caption for subject in TRAINING + HELD_OUT} < set(encoder.bank)
    assert len(set(encoder.bank)) == 320 + WIDER_CAPTIONS
    for word in ("then", "three", "slowly", "striped", "above", "towards", "camera"):
        assert any(word in caption.split() for caption in encoder.bank)


def test_the_background_can_be_drawn_again(encoder: Encoder, shipped: ConfidenceModel):
    """From its seed, the same segments come out of the same network."""
    frames = background_frames(np.random.default_rng(2022_2), encoder.geometry.crop)
    assert frames.shape == (WHOLE + CUT + WIDER, 8, encoder.geometry.crop, encoder.geometry.crop, 3)
    again = encoder.encode_video(frames[:16])
    np.testing.assert_allclose(again.embedding, shipped.background.embedding[:16], atol=1e-4)


def test_confidence_is_honest_on_subjects_it_was_not_fitted_to(
    encoder: Encoder, shipped: ConfidenceModel
):
    """Fresh clips of the other half, searches half of which have no match: the promised bars."""
    confidence, right, has_match = searches(encoder, shipped, rounds=6)
    assert expected_calibration_error(confidence, right) <= 0.05
    assert np.mean(confidence[~has_match] < 0.5) >= 0.9
    assert np.mean(confidence[right] >= 0.5) >= 0.9


def searches(
    encoder: Encoder, model: ConfidenceModel, rounds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first answer to each query: its confidence, whether it is right, whether one exists."""
    random = np.random.default_rng(99)
    queries = [HELD_OUT.index(subject) for subject in EVALUATION]
    texts = encoder.encode_text([subject.caption for subject in EVALUATION])
    bank = encoder.encode_text(list(encoder.bank))
    background = Background.of(encoder.score(texts, model.background))
    found = []
    for _ in range(rounds):
        clips = encoder.encode_video(np.stack([drawn(subject, random) for subject in HELD_OUT]))
        logits = encoder.score(texts, clips)
        features = calibration_features(
            logits, background, encoder.score(bank, clips), says_the_same(texts, bank)
        )
        shown = random.permutation(len(HELD_OUT))[:SHOWN]
        for number, subject in enumerate(queries):
            best = shown[np.argmax(logits[shown, number])]
            chance = float(model.calibration.confidence(features[best, number], SHOWN))
            found.append((chance, best == subject, subject in shown))
    chances, right, has_match = zip(*found, strict=True)
    return np.array(chances), np.array(right), np.array(has_match)


def drawn(subject: Subject, random: np.random.Generator) -> np.ndarray:
    return render(sample_scene(subject, random), TIMES, 48, 48, random)
