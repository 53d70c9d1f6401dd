"""Initialisation of a training run: from nothing, from CLIP, or from an X-CLIP checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.errors import ConfigError, WeightsError
from xclip.hub import CONFIG_FILE, Checkpoint, locate
from xclip.model import CrossFrameLayer, XCLIPModel
from xclip.processor import XCLIPProcessor
from xclip.text_bank import own_bank
from xclip.tokenizer import (
    MERGES_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    XCLIPTokenizer,
)
from xclip.training.config import ModelConfig
from xclip.training.parameter_groups import freeze_text
from xclip.weights import IGNORED_KEYS, load_model, read_tensors

# What X-CLIP adds to CLIP, by a part of its names with a dot in front.
_ADDED = (".mit.", ".prompts_", ".message_")
_HEAD_WIDTH = 64  # of the added parts' attention, as the original has it


def first_model(config: ModelConfig, seed: int) -> tuple[XCLIPModel, XCLIPProcessor]:
    """Build the network in float32, frozen and regularised as configured, and its processor.

    Raises WeightsError, ConfigError, TokenizerError.
    """
    torch.manual_seed(seed)
    if config.start == "clip":
        model, processor = from_clip(locate(config.source, config.revision), config.num_frames)
    else:
        checkpoint = locate(config.source, config.revision)
        processor = XCLIPProcessor.from_pretrained(config.source, checkpoint.commit)
        if config.start == "checkpoint":
            model = load_model(config.source, checkpoint.commit)
        else:
            model = XCLIPModel(XCLIPConfig.from_json_file(_config_file(checkpoint)))
    if config.text == "frozen":
        freeze_text(model)
    set_drop_path(model, config.drop_path)
    return model, processor


def bank_of(config: ModelConfig) -> Path | None:
    """The text bank that the first weights bring along, which what is trained from them keeps."""
    return own_bank(locate(config.source, config.revision))


def set_drop_path(model: XCLIPModel, rate: float) -> None:
    """Drop messages at rates that rise evenly from 0 in the first layer to `rate` in the last."""
    layers = model.vision_model.encoder.layers
    for layer, share in zip(layers, torch.linspace(0, rate, len(layers)).tolist(), strict=True):
        cast("CrossFrameLayer", layer).drop_path.rate = share


def from_clip(checkpoint: Checkpoint, num_frames: int) -> tuple[XCLIPModel, XCLIPProcessor]:
    """Both towers from CLIP in Hugging Face's layout; what X-CLIP adds is drawn anew.

    Raises WeightsError naming what is missing, misshapen or of no use in X-CLIP.
    """
    model = XCLIPModel(config_from_clip(_config_file(checkpoint), num_frames))
    state = model.state_dict()
    found = clip_names(read_tensors(checkpoint))
    expected = {name for name in state if not any(part in f".{name}" for part in _ADDED)}
    wrong = [
        *(f"{name} is missing" for name in sorted(expected - found.keys())),
        *(f"{name} is unknown" for name in sorted(found.keys() - expected)),
        *(
            f"{name} is {tuple(found[name].shape)}, not {tuple(state[name].shape)}"
            for name in sorted(expected & found.keys())
            if found[name].shape != state[name].shape
        ),
    ]
    if wrong:
        raise WeightsError(
            f"{checkpoint.folder} is not a CLIP that fits X-CLIP: {'; '.join(wrong[:8])}"
        )
    model.load_state_dict(state | {name: value.float() for name, value in found.items()})
    for name in (TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE):
        checkpoint.find(name)  # brings the file to the folder if the checkpoint has it
    longest = model.config.text_config.max_position_embeddings
    tokenizer = XCLIPTokenizer.from_folder(checkpoint.folder, longest)
    return model, XCLIPProcessor.for_model(model.config, tokenizer)


def clip_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's tensors under X-CLIP's names; CLIP's spell one norm `pre_layrnorm`."""
    return {
        name.replace("vision_model.pre_layrnorm.", "vision_model.pre_layernorm."): value
        for name, value in tensors.items()
        if name not in IGNORED_KEYS
    }


def config_from_clip(file: Path, num_frames: int) -> XCLIPConfig:
    """The towers as CLIP's config.json has them, the added parts as the paper has them."""
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        kind, width = values["model_type"], values.get("projection_dim", 512)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is not a configuration of CLIP: {error}") from error
    if kind != "clip":
        raise ConfigError(f"{file} has model_type {kind!r}, not 'clip'")
    heads = max(1, width // _HEAD_WIDTH)
    text = values.get("text_config_dict") or values.get("text_config") or {}
    vision = values.get("vision_config_dict") or values.get("vision_config") or {}
    added = {
        "num_frames": num_frames,
        "mit_hidden_size": width,
        "mit_intermediate_size": 4 * width,
        "mit_num_attention_heads": heads,
    }
    return XCLIPConfig(
        XCLIPTextConfig.from_dict(text),
        XCLIPVisionConfig.from_dict({**vision, **added}),
        projection_dim=width,
        prompt_num_attention_heads=heads,
    )


def _config_file(checkpoint: Checkpoint) -> Path:
    file = checkpoint.find(CONFIG_FILE)
    if file is None:
        raise WeightsError(f"{checkpoint.folder} holds no {CONFIG_FILE}")
    return file
