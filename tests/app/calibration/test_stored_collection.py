"""A collection opened for measuring: what must be there, and what is read of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.calibration import stored_collection as module
from app.calibration.stored_collection import CalibrationError, open_catalog, open_footage
from app.catalog.errors import CollectionNotFound
from app.model_api.tensor_records import stack_records
from app.settings import Settings
from tests.app.calibration.conftest import footage_in, put
from tests.app.planted import random_videos
from xclip.encoder import Encoder


def test_a_missing_catalog_is_not_made(tmp_path: Path):
    """A misspelt folder must not become an empty library."""
    settings = Settings(data_dir=tmp_path / "typo")
    with pytest.raises(CalibrationError, match="XCLIP_DATA_DIR"), open_catalog(settings):
        pass
    assert not settings.data_dir.exists()


def test_a_collection_must_exist_and_hold_something(encoder: Encoder, tmp_path: Path):
    """Before the model is loaded."""
    settings = Settings(data_dir=tmp_path, model="no/such-model")
    with footage_in(tmp_path, encoder):
        pass
    with pytest.raises(CalibrationError, match="'default' holds no searchable video"):
        open_footage(settings, "default").__enter__()
    with pytest.raises(CollectionNotFound, match="'other'"):
        open_footage(settings, "other").__enter__()


def test_the_model_must_be_the_one_that_filled_it(encoder: Encoder, tmp_path: Path):
    """Another's scores would mean nothing; one that is not there is named."""
    with footage_in(tmp_path, encoder) as filled:
        put(filled, random_videos(encoder, 1, np.random.default_rng(0)))
    wrong = Settings(data_dir=tmp_path, model="motion-tiny", device="cpu")
    with pytest.raises(CalibrationError, match=r"was built with .*XCLIP_MODEL is motion-tiny"):
        open_footage(wrong, "default").__enter__()
    missing = Settings(data_dir=tmp_path, model=str(tmp_path / "none"), device="cpu")
    with pytest.raises(CalibrationError, match=r"XCLIP_MODEL=.*none cannot be loaded"):
        open_footage(missing, "default").__enter__()
    right = Settings(data_dir=tmp_path, model=encoder.name, device="cpu", threads=1)
    with open_footage(right, "default") as opened:
        assert opened.encoder.fingerprint == encoder.fingerprint
        assert len(opened.rows()) == 1


def test_segments_are_read_in_parts_and_without_those_that_are_gone(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """All of a collection, in order, a few at a time, while videos are deleted."""
    monkeypatch.setattr(module, "SEGMENTS_AT_ONCE", 4)
    made = [random_videos(encoder, 5, np.random.default_rng(seed)) for seed in range(3)]
    with footage_in(tmp_path, encoder) as footage:
        videos = [put(footage, one) for one in made]
        rows = footage.rows()
        parts = footage.read(rows)
        first, records = next(parts)
        assert len(first) == len(records) == 4
        footage.catalog.delete_video("default", videos[1].id)
        rest = [*parts]
        seen = [one.row for segments, _ in [(first, records), *rest] for one in segments]
        assert seen == [*rows[:5].tolist(), *rows[10:].tolist()]
        read = [one for _, part in [(first, records), *rest] for one in part]
    expected = np.concatenate([made[0].embedding, made[2].embedding])
    np.testing.assert_array_equal(stack_records(read).embedding, expected)
