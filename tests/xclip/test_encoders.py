"""The registry loads a checkpoint by its `model_type`, and every encoder keeps the contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.xclip.encoder_contract import EncoderContract
from tests.xclip.two_tower import MODEL_TYPE, TwoTowerEncoder, save_two_tower
from xclip.encoder import Encoder
from xclip.encoders import LOADERS, load_encoder
from xclip.errors import ConfigError, UnknownModelType, WeightsError
from xclip.xclip_encoder import XCLIPEncoder


class TestXCLIPEncoder(EncoderContract):
    """X-CLIP, random and small."""

    @pytest.fixture
    def encoder(self, checkpoint: Path) -> Encoder:
        return load_encoder(str(checkpoint), device="cpu")


class TestTwoTowerEncoder(EncoderContract):
    """An encoder that stores nothing beside the embedding."""

    @pytest.fixture
    def encoder(self) -> Encoder:
        return TwoTowerEncoder("two-tower", 0, None, ())


def test_the_model_type_names_the_encoder(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One loader serves both, under the name that it was given."""
    monkeypatch.setitem(LOADERS, MODEL_TYPE, TwoTowerEncoder.from_checkpoint)
    save_two_tower(tmp_path / "other", seed=1)
    other = load_encoder(str(tmp_path / "other"), device="cpu")
    assert isinstance(other, TwoTowerEncoder)
    assert other.name == str(tmp_path / "other")
    assert isinstance(load_encoder(str(checkpoint), device="cpu"), XCLIPEncoder)


def test_an_unknown_model_type_is_named(tmp_path: Path) -> None:
    """The error has a stable code and says what is known."""
    save_two_tower(tmp_path / "other", seed=1)
    with pytest.raises(UnknownModelType, match="'two_tower'; the known ones are: xclip") as caught:
        load_encoder(str(tmp_path / "other"))
    assert caught.value.code == "model_type_unknown"


def test_a_config_that_says_none_is_x_clip(checkpoint: Path, tmp_path: Path) -> None:
    """Old files have no `model_type`."""
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    del config["model_type"]
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert isinstance(load_encoder(str(tmp_path), device="cpu"), XCLIPEncoder)


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    """As weights that are missing."""
    with pytest.raises(WeightsError, match=r"no config\.json"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_config_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    """As a configuration that is invalid."""
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        load_encoder(str(tmp_path))
