"""The file of a confidence model: comes back as it was, and is whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from xclip.confidence.calibration import FEATURE_COUNT, PLAIN, Calibration
from xclip.confidence.model_file import ConfidenceModel
from xclip.encoder import StoredSegments
from xclip.errors import WeightsError

CALIBRATION = Calibration((0.5, 0.0, 1 / 3, 0.0), bias=-7.25, fitted=True)


@pytest.fixture
def model() -> ConfidenceModel:
    """Three background segments of two patches, width 4."""
    random = np.random.default_rng(0)
    background = StoredSegments(
        random.standard_normal((3, 4)).astype(np.float32),
        {"prompt": random.standard_normal((3, 2, 4)).astype(np.float16).astype(np.float32)},
    )
    return ConfidenceModel("0123456789abcdef", "89abcdef", CALIBRATION, background)


def test_a_model_comes_back_as_it_was(model: ConfidenceModel, tmp_path: Path):
    """Weights to the last digit, the background's prompts in half precision."""
    path = tmp_path / "new folder" / "one.safetensors"
    model.save(path)
    back = ConfidenceModel.load(path)
    assert (back.fingerprint, back.bank, back.calibration) == (
        model.fingerprint,
        model.bank,
        CALIBRATION,
    )
    np.testing.assert_array_equal(back.background.embedding, model.background.embedding)
    np.testing.assert_array_equal(
        back.background.arrays["prompt"], model.background.arrays["prompt"]
    )
    assert back.background.arrays["prompt"].dtype == np.float32


def test_saving_again_replaces(model: ConfidenceModel, tmp_path: Path):
    """And leaves nothing else behind."""
    path = tmp_path / "one.safetensors"
    model.save(path)
    plain = ConfidenceModel(model.fingerprint, model.bank, PLAIN, model.background)
    plain.save(path)
    assert ConfidenceModel.load(path).calibration == PLAIN
    assert [*tmp_path.iterdir()] == [path]


def test_a_save_that_fails_leaves_what_was(
    model: ConfidenceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The disk may be full: the old file is still the file."""
    path = tmp_path / "one.safetensors"
    model.save(path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ConfidenceModel("other", model.bank, PLAIN, model.background).save(path)
    monkeypatch.undo()
    assert ConfidenceModel.load(path).fingerprint == model.fingerprint


def test_a_missing_file_is_named(tmp_path: Path):
    """By its name alone: no message reveals the folder."""
    with pytest.raises(WeightsError, match=r"^gone\.safetensors is not a confidence model"):
        ConfidenceModel.load(tmp_path / "gone.safetensors")


def facts(**changed: object) -> dict[str, str]:
    fields = {"weights": [0.0] * FEATURE_COUNT, "bias": 0.0, "fitted": True, **changed}
    return {"fingerprint": "f", "bank": "b", "calibration": json.dumps(fields)}


ARRAYS = {"embedding": np.ones((1, 4), np.float32), "prompt": np.ones((1, 2, 4), np.float16)}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not safetensors at all",
        save(ARRAYS),
        save(ARRAYS, {**facts(), "calibration": "{"}),
        save(ARRAYS, {**facts(), "calibration": "[]"}),
        save(ARRAYS, facts(weights=[1.0])),
        save(ARRAYS, facts(weights=["a"] * FEATURE_COUNT)),
        save(ARRAYS, facts(bias=None)),
        save({"prompt": ARRAYS["prompt"]}, facts()),
        save(ARRAYS, facts())[:-8],
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes):
    """Whatever is wrong with it, in one kind of error."""
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.safetensors is not a confidence model"):
        ConfidenceModel.load(path)


def test_a_whole_file_is_read(tmp_path: Path):
    """The one the damaged ones above are made from."""
    path = tmp_path / "good.safetensors"
    path.write_bytes(save(ARRAYS, facts()))
    assert ConfidenceModel.load(path).calibration == Calibration(
        (0.0,) * FEATURE_COUNT, 0.0, fitted=True
    )
