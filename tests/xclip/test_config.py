"""Configurations: Hugging Face's config.json, in and out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import XCLIPConfig as TwinConfig
from transformers import XCLIPModel as TwinModel

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.errors import ConfigError
from xclip.model import XCLIPModel


def large_config() -> XCLIPConfig:
    """The dimensions of the large 336 px model."""
    return XCLIPConfig(
        XCLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12),
        XCLIPVisionConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
            mit_hidden_size=768,
            mit_intermediate_size=3072,
            image_size=336,
            patch_size=14,
            num_frames=16,
        ),
        projection_dim=768,
    )


@pytest.mark.parametrize("seed", range(5))
def test_dictionary_round_trip(seed: int, make_config: Callable[[int], XCLIPConfig]) -> None:
    """`from_dict` undoes `to_dict`, also by way of JSON."""
    config = make_config(seed)
    assert XCLIPConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("seed", range(5))
def test_transformers_reads_the_same_numbers(
    seed: int, make_config: Callable[[int], XCLIPConfig]
) -> None:
    """A configuration that went through transformers comes back unchanged."""
    config = make_config(seed)
    assert XCLIPConfig.from_dict(TwinConfig.from_dict(config.to_dict()).to_dict()) == config


def test_defaults_are_those_of_transformers() -> None:
    """An empty config.json means the same network to both."""
    assert XCLIPConfig.from_dict({}) == XCLIPConfig.from_dict(TwinConfig().to_dict())


@pytest.mark.parametrize(
    ("config", "tensors", "parameters"),
    [(XCLIPConfig(), 591, 196_585_729), (large_config(), 927, 576_007_425)],
)
def test_keys_and_shapes_of_published_sizes(
    config: XCLIPConfig, tensors: int, parameters: int
) -> None:
    """Base and large have transformers' keys and shapes, and the published parameter count."""
    with torch.device("meta"):
        ours = {key: value.shape for key, value in XCLIPModel(config).state_dict().items()}
        twin = TwinModel(TwinConfig.from_dict(config.to_dict()))
    assert ours == {key: value.shape for key, value in twin.state_dict().items()}
    assert len(ours) == tensors
    assert sum(shape.numel() for shape in ours.values()) == parameters


def test_tower_dictionaries_of_old_files_win() -> None:
    """Files that repeat a tower under `text_config_dict` mean that one."""
    values: dict[str, Any] = {"text_config": {"hidden_size": 8}}
    values["text_config_dict"] = {"hidden_size": 16}
    assert XCLIPConfig.from_dict(values).text_config.hidden_size == 16


def test_towers_join() -> None:
    """`from_text_vision_configs` keeps both towers and takes the remaining fields by name."""
    text, vision = XCLIPTextConfig(vocab_size=99), XCLIPVisionConfig(num_frames=3)
    config = XCLIPConfig.from_text_vision_configs(text, vision, prompt_layers=5)
    assert (config.text_config, config.vision_config, config.prompt_layers) == (text, vision, 5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"projection_dim": 520}, "projection_dim 520"),
        ({"prompt_num_attention_heads": 5}, "5 heads"),
        ({"prompt_layers": 0}, "prompt_layers"),
        ({"prompt_hidden_act": "relu"}, "relu"),
        ({"model_type": "clip"}, "clip"),
        ({"text_config": {"num_attention_heads": 7}}, "7 heads"),
        ({"vision_config": {"num_frames": 0}}, "num_frames"),
        ({"vision_config": {"image_size": 16}}, "image_size 16"),
        ({"vision_config": {"mit_num_attention_heads": 5}}, "5 heads"),
    ],
)
def test_impossible_networks_are_refused(change: dict[str, Any], named: str) -> None:
    """A configuration no network can have raises ConfigError that names the field."""
    with pytest.raises(ConfigError, match=named):
        XCLIPConfig.from_dict(change)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_damaged_file(tmp_path: Path, content: str) -> None:
    """A config.json that holds no object raises ConfigError."""
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"config\.json"):
        XCLIPConfig.from_json_file(path)


def test_configurations_are_values() -> None:
    """A configuration cannot be changed under a network's feet."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        XCLIPConfig().projection_dim = 3  # type: ignore[misc]
