"""Calibrating a collection: real scores of motion-tiny over clips that training never showed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.calibration.confidence import (
    LEAST_BACKGROUND,
    LEAST_TEXTS,
    Searches,
    calibrate,
    fit_rising,
    remove,
)
from app.calibration.labelled_pairs import RankedPair
from app.calibration.stored_collection import CalibrationError, StoredCollection
from app.model_api.tensor_records import stack_records
from tests.app.calibration.conftest import filmed, footage_in, put, refreshed
from tests.app.planted import random_videos
from xclip.confidence.calibration import (
    BANK_ODDS,
    BANK_SHARE,
    FEATURE_COUNT,
    PLAIN,
    STANDARD_SCORE,
    Background,
    Examples,
    expected_calibration_error,
)
from xclip.confidence.model_file import ConfidenceModel
from xclip.encoder import Encoder
from xclip.motion.world import CALIBRATION, EVALUATION, HELD_OUT
from xclip.text_bank import bank_digest


@pytest.fixture(scope="module")
def clips(tiny: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredCollection]:
    """Five clips of each held-out subject."""
    with footage_in(tmp_path_factory.mktemp("clips"), tiny) as empty:
        for seed in range(5):
            put(empty, filmed(tiny, HELD_OUT, seed))
        yield refreshed(empty)


@pytest.fixture(scope="module")
def shown(clips: StoredCollection) -> list[RankedPair]:
    """Every caption, and the rows of the clips that show it (in the order they were put)."""
    rows = clips.rows().reshape(5, len(HELD_OUT))
    return [
        RankedPair(subject.caption, frozenset(rows[:, number].tolist()), frozenset())
        for number, subject in enumerate(HELD_OUT)
    ]


def load(folder: Path, name: str) -> ConfidenceModel:
    return ConfidenceModel.load(folder / f"{name}.safetensors")


def test_a_fit_is_honest_about_texts_it_has_not_seen(
    clips: StoredCollection, shown: list[RankedPair], tmp_path
):
    """The bars that the embedded calibration keeps, on the fifth of the texts that is held out."""
    fitted = calibrate(clips, tmp_path, shown, background=100, seed=0)
    held_out = fitted.held_out
    assert held_out is not None
    assert held_out.texts == 8
    assert held_out.searches == 8 * 4 * 8 * 2  # sizes 10, 20, 40, 80; rounds; without and with
    assert held_out.without_match == held_out.searches / 2
    assert held_out.error < 0.08
    assert held_out.abstained / held_out.without_match > 0.85
    assert held_out.kept / held_out.right > 0.85
    assert fitted.calibration.fitted
    assert fitted.calibration.weights[STANDARD_SCORE] > 0


def test_it_holds_for_fresh_clips_of_other_subjects(
    clips: StoredCollection, shown: list[RankedPair], tmp_path
):
    """Fitted to half of the subjects, right about the other half in clips that came later."""
    half = [one for one, subject in zip(shown, HELD_OUT, strict=True) if subject in CALIBRATION]
    fitted = calibrate(clips, tmp_path, half, background=200, seed=1)
    model, encoder = load(tmp_path, fitted.name), clips.encoder
    films = np.array([number for _ in range(3) for number in range(len(HELD_OUT))])
    with footage_in(tmp_path / "fresh", encoder) as other:
        put(other, filmed(encoder, [HELD_OUT[number] for number in films], seed=77))
        rows = other.rows()
        of_fresh = [
            RankedPair(subject.caption, frozenset(rows[films == number].tolist()), frozenset())
            for number, subject in enumerate(HELD_OUT)
            if subject in EVALUATION
        ]
        searches = Searches.over(refreshed(other), model.background, of_fresh, rows)
    first = searches.examples(searches.usable, 1, np.random.default_rng(3))
    confidence = np.array(
        [
            model.calibration.confidence(features, int(eligible))
            for features, eligible in zip(first.features, first.eligible, strict=True)
        ]
    )
    assert expected_calibration_error(confidence, first.match) < 0.08


def test_without_pairs_nothing_is_claimed(clips: StoredCollection, tmp_path):
    """The plain weights over a background of the collection's own, not called fitted."""
    fitted = calibrate(clips, tmp_path, None, background=64, seed=0)
    model = load(tmp_path, fitted.name)
    assert (fitted.held_out, fitted.calibration, model.calibration) == (None, PLAIN, PLAIN)
    assert not model.calibration.fitted
    assert (model.fingerprint, model.bank) == (
        clips.encoder.fingerprint,
        bank_digest(clips.encoder.bank),
    )
    assert len(model.background.embedding) == fitted.background == 64
    stored = stack_records([record for _, part in clips.read(clips.rows()) for record in part])
    known = {row.tobytes() for row in stored.embedding}
    drawn = [row.tobytes() for row in model.background.embedding]
    assert set(drawn) <= known
    assert len(set(drawn)) == 64


def test_the_same_seed_makes_the_same_model(
    clips: StoredCollection, shown: list[RankedPair], tmp_path
):
    """Name and all; another seed draws another background."""
    names = [calibrate(clips, tmp_path, shown, background=40, seed=seed).name for seed in (3, 3, 4)]
    assert names[0] == names[1] != names[2]


def test_bank_logits_that_are_missing_are_computed(
    clips: StoredCollection, shown: list[RankedPair], tmp_path
):
    """Records from before the bank get the features they would have had with it."""
    unrelated = random_videos(clips.encoder, 30, np.random.default_rng(0))
    made = stack_records([record for _, part in clips.read(clips.rows()) for record in part])
    features = []
    for with_bank in (True, False):
        with footage_in(tmp_path / str(with_bank), clips.encoder) as other:
            put(other, made, with_bank=with_bank)
            searches = Searches.over(other, unrelated, shown, other.rows())
            features.append(searches.features)
    np.testing.assert_allclose(features[0], features[1], atol=0.05)
    assert np.ptp(features[0][..., BANK_ODDS]) > 10


def test_what_shows_a_part_is_left_out(tiny: Encoder, tmp_path):
    """Neither a match nor an example of something else, however high it scores."""
    random = np.random.default_rng(0)
    match, partly = np.zeros((12, 1), bool), np.zeros((12, 1), bool)
    match[0], partly[1:3] = True, True
    logits = np.array([[5.0], [9.0], [8.0], *[[0.0]] * 9], np.float32)
    features = np.repeat(logits[..., None], FEATURE_COUNT, axis=-1).astype(np.float64)
    searches = Searches(logits, features, match, partly)
    found = searches.examples([0], 5, random)
    assert set(found.features[:, 0].tolist()) == {5.0, 0.0}
    assert found.match.tolist() == (found.features[:, 0] == 5.0).tolist()


def test_too_small_a_collection_is_refused(tiny: Encoder, tmp_path):
    """A background of a few segments says too little; the message says how many it takes."""
    with footage_in(tmp_path / "data", tiny) as empty:
        put(empty, random_videos(tiny, LEAST_BACKGROUND - 1, np.random.default_rng(0)))
        footage = refreshed(empty)
        with pytest.raises(CalibrationError, match=r"at least 20 segments.*'default' has 19"):
            calibrate(footage, tmp_path / "made", None, background=256, seed=0)
        put(empty, random_videos(tiny, 1, np.random.default_rng(1)))
        assert calibrate(footage, tmp_path / "made", None, 256, 0).background == 20


def test_too_few_texts_are_refused_and_change_nothing(
    clips: StoredCollection, shown: list[RankedPair], tmp_path
):
    """A text that everything or nothing matches does not count."""
    before = clips.catalog.get_collection("default").calibration
    everything = RankedPair("anything", frozenset(clips.rows().tolist()), frozenset())
    few = [*shown[: LEAST_TEXTS - 1], everything]
    with pytest.raises(CalibrationError, match=r"at least 20 texts.*the pairs have 19"):
        calibrate(clips, tmp_path, few, background=40, seed=0)
    assert clips.catalog.get_collection("default").calibration == before
    assert list(tmp_path.iterdir()) == []


def test_no_fit_takes_certainty_from_a_higher_score():
    """A feature that points the wrong way is not used; if all do, the message says so."""
    random = np.random.default_rng(0)
    match = random.random(500) < 0.5
    features = np.zeros((500, FEATURE_COUNT))
    features[:, STANDARD_SCORE] = match + random.normal(0, 1, 500)
    features[:, BANK_ODDS] = -3 * match + random.normal(0, 1, 500)
    examples = Examples(features, np.full(500, 10.0), match)
    assert fit_rising(examples).weights[BANK_ODDS] == 0
    assert fit_rising(examples).weights[STANDARD_SCORE] > 0
    with pytest.raises(CalibrationError, match="scores no higher"):
        fit_rising(replace(examples, match=~match, features=features * [1, 1, -1, 1]))


def test_files_of_earlier_runs_go_but_for_the_last(clips: StoredCollection, tmp_path):
    """A search that read the collection a moment ago finds its calibration still there."""
    other = tmp_path / "col_other-0123.safetensors"
    other.write_bytes(b"of another collection")
    names = [calibrate(refreshed(clips), tmp_path, None, 30, seed).name for seed in (1, 2, 3)]
    files = {path.stem for path in tmp_path.glob("*.safetensors")}
    assert files == {names[1], names[2], other.stem}
    assert remove(clips.catalog, "default", tmp_path)
    assert clips.catalog.get_collection("default").calibration is None
    assert {path.stem for path in tmp_path.glob("*.safetensors")} == {names[2], other.stem}
    assert not remove(clips.catalog, "default", tmp_path)


def test_the_searches_see_what_the_service_computes(
    clips: StoredCollection, shown: list[RankedPair], tmp_path
):
    """Logits and features are those of the encoder and of what the catalog keeps."""
    fitted = calibrate(clips, tmp_path, None, background=50, seed=0)
    background = load(tmp_path, fitted.name).background
    searches = Searches.over(clips, background, shown[:3], clips.rows())
    encoder = clips.encoder
    texts = encoder.encode_text([one.text for one in shown[:3]])
    stored = stack_records([record for _, part in clips.read(clips.rows()) for record in part])
    logits = encoder.score(texts, stored)
    np.testing.assert_allclose(searches.logits, logits, atol=1e-4)
    found = Background.of(encoder.score(texts, background))
    expected = (logits - found.mean) / found.deviation
    np.testing.assert_allclose(searches.features[..., STANDARD_SCORE], expected, atol=1e-3)
    assert (searches.features[..., BANK_SHARE] <= 0).all()
