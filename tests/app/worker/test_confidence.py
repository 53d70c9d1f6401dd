"""How sure a score is: by which calibration, computed how often, and what is refused."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from app.model_api.messages import ConfidenceRequest
from app.worker.confidence import ConfidenceEstimator
from app.worker.errors import CalibrationUnusable
from app.worker.model_scheduler import ModelScheduler
from app.worker.scoring import Scoring
from app.worker.text_cache import TextCache
from tests.app.planted import random_videos
from xclip.confidence.calibration import PLAIN, Background, Calibration, calibration_features
from xclip.confidence.model_file import CONFIDENCE_FILE, ConfidenceModel
from xclip.encoder import Encoder, StoredSegments
from xclip.encoders import load_encoder
from xclip.text_bank import bank_digest, says_the_same

from .conftest import Parts

FITTED = Calibration((0.7, 0.2, 0.3, 0.1), bias=1.0, fitted=True)
TEXTS = ["a red square moves left", "blue circle", "down"]
# Letters: K segments, N texts, N0 bank texts.


class CountingScoring(Scoring):
    """Counts the calls."""

    calls = 0

    def score(self, embeddings: np.ndarray, stored: StoredSegments) -> np.ndarray:
        """As ever, and count it."""
        self.calls += 1
        return super().score(embeddings, stored)


@dataclass(frozen=True)
class Judged:
    """A certainty over a folder of the test's own, and five segments with their scores."""

    encoder: Encoder
    scoring: CountingScoring
    certainty: ConfidenceEstimator
    folder: Path
    stored: StoredSegments
    texts: np.ndarray
    logits: np.ndarray
    bank: np.ndarray

    def confidence(self, name: str | None, eligible: int = 10) -> np.ndarray | None:
        """What it says of the segments, shape = (K, N)."""
        asked = ConfidenceRequest(name, eligible)
        scores = self.certainty.judge(self.texts, self.logits, self.bank, asked, rest=False)
        assert scores.logits is self.logits
        return scores.confidence

    def save(self, name: str, **changed: object) -> ConfidenceModel:
        """A fitted model in the folder."""
        model = ConfidenceModel(
            self.encoder.fingerprint,
            bank_digest(self.encoder.bank),
            FITTED,
            random_videos(self.encoder, 9, np.random.default_rng(7)),
        )
        model = replace(model, **changed)
        model.save(self.folder / f"{name}.safetensors")
        return ConfidenceModel.load(self.folder / f"{name}.safetensors")

    def expected(self, model: ConfidenceModel, eligible: int = 10) -> np.ndarray:
        """By the formulas, from the encoder's own scores."""
        bank_texts = self.encoder.encode_text(self.encoder.bank)
        background = Background.of(self.encoder.score(self.texts, model.background))
        same = says_the_same(self.texts, bank_texts)
        return model.calibration.confidence(
            calibration_features(self.logits, background, self.bank, same), eligible
        )


@pytest.fixture
def judged(parts: Parts, tmp_path: Path) -> Judged:
    encoder = parts.encoder
    scoring = CountingScoring(encoder, parts.gate, parts.texts)
    certainty = ConfidenceEstimator(encoder, scoring, tmp_path / "calibrations")
    stored = random_videos(encoder, 5, np.random.default_rng(1))
    texts = encoder.encode_text(TEXTS)
    logits, bank = encoder.score(texts, stored), certainty.bank_logits(stored)
    return Judged(
        encoder, scoring, certainty, tmp_path / "calibrations", stored, texts, logits, bank
    )


def test_bank_logits_are_the_encoders(judged: Judged) -> None:
    """Of every text of the bank, in half precision, as they are stored."""
    found, encoder = judged.bank, judged.encoder
    expected = encoder.score(encoder.encode_text(encoder.bank), judged.stored)
    assert (found.dtype, found.shape) == (np.float16, (5, len(encoder.bank)))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_a_fitted_calibration_is_followed(judged: Judged) -> None:
    """By its name: its background, its weights, and as many eligible as were asked about."""
    model = judged.save("col_1-abc")
    for eligible in (1, 10, 1000):
        np.testing.assert_allclose(
            judged.confidence("col_1-abc", eligible), judged.expected(model, eligible), atol=1e-5
        )


@pytest.mark.parametrize(("calibration", "kind"), [(FITTED, "calibrated"), (PLAIN, "estimated")])
def test_the_kind_says_whether_it_was_measured(
    judged: Judged, calibration: Calibration, kind: str
) -> None:
    """Fitted to examples, or read from the shares as they are."""
    judged.save("one", calibration=calibration)
    asked = ConfidenceRequest("one", 5)
    scores = judged.certainty.judge(judged.texts, judged.logits, judged.bank, asked, rest=False)
    assert scores.confidence_kind == kind


def test_a_model_without_a_calibration_claims_nothing(judged: Judged) -> None:
    """Neither a chance nor a kind, and nobody has to read the bank."""
    asked = ConfidenceRequest(None, 5)
    assert not judged.certainty.needs_bank(asked, rest=False)
    assert not judged.certainty.needs_bank(None, rest=False)
    assert judged.certainty.needs_bank(None, rest=True)
    scores = judged.certainty.judge(judged.texts, judged.logits, judged.bank, asked, rest=False)
    assert (scores.confidence, scores.confidence_kind, scores.rest) == (None, None, None)


def test_the_rest_is_what_else_a_segment_may_show(judged: Judged) -> None:
    """The bank's exponentials without those that mean one of the texts, whichever."""
    texts = judged.encoder.encode_text([*TEXTS, judged.encoder.bank[3]])
    logits = judged.encoder.score(texts, judged.stored)
    scores = judged.certainty.judge(texts, logits, judged.bank, None, rest=True)
    same = says_the_same(texts, judged.certainty.bank).any(axis=0)
    assert same[3]
    assert not same.all()
    expected = np.logaddexp.reduce(judged.bank[:, ~same].astype(np.float64), axis=1)
    np.testing.assert_allclose(scores.rest, expected, atol=1e-9)
    assert scores.confidence is None


def test_a_background_is_scored_once_a_text_and_calibration(judged: Judged) -> None:
    """Asked again it costs nothing; another calibration has another background."""
    judged.save("one")
    other = random_videos(judged.encoder, 30, np.random.default_rng(8))
    second = judged.save("two", background=other)
    first = judged.confidence("one")
    calls = judged.scoring.calls
    np.testing.assert_array_equal(judged.confidence("one"), first)
    assert judged.scoring.calls == calls
    np.testing.assert_allclose(judged.confidence("two"), judged.expected(second), atol=1e-5)
    assert judged.scoring.calls == calls + 1


def test_a_calibration_in_use_may_lose_its_file(judged: Judged) -> None:
    """A name is never used for another content, so what was read once stays good."""
    judged.save("one")
    before = judged.confidence("one")
    (judged.folder / "one.safetensors").unlink()
    np.testing.assert_array_equal(judged.confidence("one"), before)


def test_many_may_ask_at_once(judged: Judged) -> None:
    """More calibrations than are kept, from several threads: each gets its own answer."""
    names = [f"c{number}" for number in range(20)]
    expected = {}
    for number, name in enumerate(names):
        calibration = replace(FITTED, bias=float(number))
        expected[name] = judged.expected(judged.save(name, calibration=calibration))
    with ThreadPoolExecutor(4) as pool:
        for name, found in zip(names * 3, pool.map(judged.confidence, names * 3), strict=True):
            np.testing.assert_allclose(found, expected[name], atol=1e-5)


@pytest.mark.parametrize("name", ["../secret", "a/b", "", "UPPER", "a.b", "x" * 101, "a\n"])
def test_only_plain_names_reach_the_disk(judged: Judged, name: str) -> None:
    """Names come over the network."""
    with pytest.raises(CalibrationUnusable, match="is not the name of a calibration"):
        judged.confidence(name)


def test_what_cannot_be_used_is_said(judged: Judged) -> None:
    """Missing, damaged, of another model, of another bank."""
    with pytest.raises(CalibrationUnusable, match="gone"):
        judged.confidence("gone")
    judged.folder.mkdir()
    (judged.folder / "damaged.safetensors").write_bytes(b"x" * 50)
    with pytest.raises(CalibrationUnusable, match="damaged"):
        judged.confidence("damaged")
    judged.save("stranger", fingerprint="0" * 16)
    judged.save("renamed", bank="00000000")
    for name in ("stranger", "renamed"):
        with pytest.raises(CalibrationUnusable, match=f"{name} was fitted to another .* again"):
            judged.confidence(name)


def test_a_background_of_other_arrays_is_refused(judged: Judged) -> None:
    """A background that the encoder could not score is no calibration."""
    judged.save("bare", background=StoredSegments(judged.stored.embedding, {}))
    with pytest.raises(CalibrationUnusable, match=r"bare was fitted to another .* again"):
        judged.confidence("bare")


def test_the_packaged_calibration_is_used_unasked(parts: Parts, tmp_path: Path) -> None:
    """motion-tiny brings one; it is followed where no name is given."""
    encoder = load_encoder("motion-tiny", device="cpu", num_threads=1)
    certainty = open_certainty(encoder, tmp_path, parts.gate)
    stored = random_videos(encoder, 3, np.random.default_rng(0))
    texts = encoder.encode_text(["a red circle moving left"])
    asked = ConfidenceRequest(None, 3)
    assert certainty.needs_bank(asked, rest=False)
    scores = certainty.judge(
        texts, encoder.score(texts, stored), certainty.bank_logits(stored), asked, rest=False
    )
    assert scores.confidence_kind == "calibrated"
    assert scores.confidence is not None
    assert scores.confidence.shape == (3, 1)


def test_a_stale_file_beside_the_model_only_takes_the_confidence(
    encoder: Encoder, parts: Parts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A retrained checkpoint whose confidence was not fitted again still starts and scores."""
    shutil.copytree(encoder.name, tmp_path / "checkpoint")
    background = random_videos(encoder, 3, np.random.default_rng(0))
    digest = bank_digest(encoder.bank)
    stale = ConfidenceModel("0" * 16, digest, FITTED, background)
    stale.save(tmp_path / "checkpoint" / CONFIDENCE_FILE)
    loaded = load_encoder(str(tmp_path / "checkpoint"), device="cpu", num_threads=1)
    with caplog.at_level(logging.WARNING):
        certainty = open_certainty(loaded, tmp_path, parts.gate)
    assert "fitted to another model" in caplog.text
    assert not certainty.needs_bank(ConfidenceRequest(None, 1), rest=False)


def open_certainty(encoder: Encoder, folder: Path, gate: ModelScheduler) -> ConfidenceEstimator:
    return ConfidenceEstimator(encoder, Scoring(encoder, gate, TextCache(encoder, gate)), folder)


def test_what_lies_beside_the_model_is_where_the_model_was_loaded_from(
    tmp_path: Path, parts: Parts
):
    """Its name may be a hub's, at a revision of its own: nobody is asked for it a second time."""
    encoder = load_encoder("motion-tiny", device="cpu", num_threads=1)
    encoder.name = "nobody/never-uploaded"
    scoring = Scoring(encoder, parts.gate, TextCache(encoder, parts.gate))
    certainty = ConfidenceEstimator(encoder, scoring, tmp_path)
    assert certainty.needs_bank(ConfidenceRequest(None, 1), rest=False)
