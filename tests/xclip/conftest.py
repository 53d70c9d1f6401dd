"""Random networks of odd geometry, and their twins built by transformers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import XCLIPConfig as TwinConfig
from transformers import XCLIPModel as TwinModel

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.model import XCLIPModel
from xclip.processor import XCLIPProcessor
from xclip.tokenizer import XCLIPTokenizer, build_tokenizer

COLOURS_AND_SHAPES = ("a", "red", "green", "blue", "square", "circle", "triangle")
MOTIONS = ("moves", "left", "right", "up", "down", "spins")


def odd_config(seed: int) -> XCLIPConfig:
    """Draw a tiny network whose sizes share as little as they may."""
    draw = random.Random(seed)
    patch = draw.choice([4, 5, 7, 8])
    mit_heads, prompt_heads = draw.choice([(1, 3), (2, 3), (4, 6), (3, 2), (6, 1)])
    width = 12 * draw.randint(1, 3)
    vision_heads, text_heads = draw.randint(1, 4), draw.randint(1, 4)
    activations = ["quick_gelu", "quick_gelu", "gelu"]
    text = XCLIPTextConfig(
        vocab_size=draw.randint(30, 90),
        hidden_size=text_heads * draw.choice([5, 6, 8]),
        intermediate_size=draw.randint(9, 40),
        num_hidden_layers=draw.randint(1, 3),
        num_attention_heads=text_heads,
        max_position_embeddings=draw.randint(7, 20),
        hidden_act=draw.choice(activations),
        layer_norm_eps=draw.choice([1e-5, 1e-2]),
    )
    vision = XCLIPVisionConfig(
        hidden_size=vision_heads * draw.choice([6, 7, 8]),
        intermediate_size=draw.randint(9, 40),
        num_hidden_layers=draw.randint(1, 3),
        num_attention_heads=vision_heads,
        mit_hidden_size=width,
        mit_intermediate_size=draw.randint(9, 40),
        mit_num_hidden_layers=draw.randint(1, 3),
        mit_num_attention_heads=mit_heads,
        image_size=patch * draw.randint(1, 4) + draw.randrange(patch),
        patch_size=patch,
        num_frames=draw.choice([1, 2, 3, 5, 8, 13, 32]),
        hidden_act=draw.choice(activations),
        layer_norm_eps=draw.choice([1e-5, 1e-2]),
    )
    return XCLIPConfig(
        text,
        vision,
        projection_dim=width,
        prompt_layers=draw.randint(1, 3),
        prompt_hidden_act=draw.choice(activations),
        prompt_num_attention_heads=prompt_heads,
    )


def lively_model(config: XCLIPConfig, seed: int) -> XCLIPModel:
    """A network in which nothing is at a value that hides a mistake, at a logit scale of 100."""
    torch.manual_seed(seed)
    model = XCLIPModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # norms, biases, alpha
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif name.startswith("prompts_generator"):
                # At its usual std a narrow network's prompts would be too small to matter.
                parameter.mul_(model.config.projection_dim**-0.5 / 0.02)
        model.logit_scale.fill_(math.log(100))
    return model


@dataclass(frozen=True)
class Inputs:
    """What a forward takes; text i ends where `input_ids` is largest."""

    input_ids: Tensor
    attention_mask: Tensor
    pixel_values: Tensor


def odd_inputs(config: XCLIPConfig, seed: int) -> Inputs:
    """Draw 1 to 3 videos and 1 to 5 texts of unequal length, padded on the right."""
    draw, text = random.Random(seed), config.text_config
    size, frames = config.vision_config.image_size, config.vision_config.num_frames
    videos, texts = draw.randint(1, 3), draw.randint(1, 5)
    length = draw.randint(4, text.max_position_embeddings)
    noise = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, text.vocab_size - 1, (texts, length), generator=noise)
    mask = torch.ones_like(ids)
    for row in range(texts):
        end = draw.randint(2, length - 1)
        ids[row, end:] = text.vocab_size - 1
        mask[row, end + 1 :] = 0
    pixels = torch.randn(videos, frames, 3, size, size, generator=noise)
    return Inputs(ids, mask, pixels)


def build_twin(model: XCLIPModel, attention: str = "sdpa") -> TwinModel:
    """The same network in transformers, weights included."""
    config = TwinConfig.from_dict(model.config.to_dict())
    config._attn_implementation = attention
    twin = TwinModel(config).eval().to(model.text_projection.weight.dtype)
    twin.load_state_dict(model.state_dict(), strict=True)
    return twin


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny matrices spend more time waking a second thread than multiplying."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_config() -> Callable[[int], XCLIPConfig]:
    return odd_config


@pytest.fixture
def make_model() -> Callable[[XCLIPConfig, int], XCLIPModel]:
    return lively_model


@pytest.fixture
def make_inputs() -> Callable[[XCLIPConfig, int], Inputs]:
    return odd_inputs


@pytest.fixture
def make_twin() -> Callable[..., TwinModel]:
    return build_twin


@pytest.fixture(scope="session")
def tokenizer() -> XCLIPTokenizer:
    """A small vocabulary in which the words above are one token each."""
    return build_tokenizer(COLOURS_AND_SHAPES + MOTIONS, max_length=16)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer: XCLIPTokenizer) -> Path:
    """A complete checkpoint folder: 20 px, patch 8, 4 frames, the tokenizer above."""
    config = XCLIPConfig(
        XCLIPTextConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=24,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
        ),
        XCLIPVisionConfig(
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            mit_hidden_size=12,
            mit_intermediate_size=20,
            mit_num_attention_heads=3,
            image_size=20,
            patch_size=8,
            num_frames=4,
        ),
        projection_dim=12,
        prompt_num_attention_heads=2,
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    lively_model(config, 7).save_pretrained(folder)
    XCLIPProcessor.for_model(config, tokenizer).save_pretrained(folder)
    return folder
