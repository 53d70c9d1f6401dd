"""Scores from stored tensors are the scores of the forward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from xclip import scoring
from xclip.config import XCLIPConfig
from xclip.model import PromptGeneratorLayer, XCLIPModel

Config = Callable[[int], XCLIPConfig]
Model = Callable[[XCLIPConfig, int], XCLIPModel]
Build = Callable[..., Any]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("absorb", [True, False], ids=["absorbed", "projected"])
@pytest.mark.parametrize("seed", range(8))
def test_score_equals_forward(
    seed: int,
    absorb: bool,
    dtype: torch.dtype,
    tolerance: float,
    make_config: Config,
    make_model: Model,
    make_inputs: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Either form of the attention gives `logits_per_video`, at logit scale 100."""
    monkeypatch.setattr(scoring, "absorbing_is_cheaper", lambda *_: absorb)
    config = make_config(seed)
    model = make_model(config, seed).to(dtype)
    inputs = dataclasses.asdict(make_inputs(config, seed))
    inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
    with torch.no_grad():
        expected = model(**inputs).logits_per_video
        stored = scoring.encode_video(model, inputs["pixel_values"])
        texts = model.get_text_features(inputs["input_ids"], inputs["attention_mask"])
        scores = scoring.score(model, texts, stored)
    assert scores.shape == expected.shape
    assert float((scores - expected).abs().max()) <= tolerance


@pytest.mark.parametrize("seed", range(4))
def test_the_two_attentions_agree(seed: int, make_config: Config, make_model: Model) -> None:
    """Folding the key and value projections into the text side is exact."""
    config = make_config(seed)
    layer = make_model(config, seed).double().prompts_generator.decoder[0]
    assert isinstance(layer, PromptGeneratorLayer)
    texts = torch.randn(3, 4, config.projection_dim, dtype=torch.float64)
    patches = torch.randn(3, 7, config.projection_dim, dtype=torch.float64)
    with torch.no_grad():
        projected = scoring.attend_projected(layer.cross_attn, texts, patches)
        absorbed = scoring.attend_absorbed(layer.cross_attn, texts, patches)
    assert float((projected - absorbed).abs().max()) <= 1e-12
    assert float(projected.abs().max()) > 1e-3


def test_few_texts_are_absorbed_and_many_projected() -> None:
    """One query over base-patch32 is absorbed, 400 labels are projected."""
    assert scoring.absorbing_is_cheaper(1, 8, 49, 512)
    assert not scoring.absorbing_is_cheaper(400, 8, 49, 512)


def test_shapes_of_what_is_stored(make_config: Config, make_model: Model) -> None:
    """A video is kept as one unit vector and one row per patch, whatever its frames."""
    config = make_config(1)
    size, frames = config.vision_config.image_size, config.vision_config.num_frames
    with torch.no_grad():
        stored = scoring.encode_video(make_model(config, 1), torch.randn(2, frames, 3, size, size))
    assert stored.embedding.shape == (2, config.projection_dim)
    assert stored.prompt.shape == (2, config.vision_config.num_patches, config.projection_dim)
    assert torch.allclose(stored.embedding.norm(dim=-1), torch.ones(2))


def test_base_patch32(make_model: Model) -> None:
    """The published size, random weights: both forms equal the forward pass within 1e-4."""
    model = make_model(XCLIPConfig(), 0)
    pixels = torch.randn(1, 8, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    ids = torch.randint(0, 49406, (32, 3), generator=torch.Generator().manual_seed(1))
    ids[:, 0], ids[:, 2] = 49406, 49407
    with torch.inference_mode():
        expected = model(ids, pixels).logits_per_video
        stored = scoring.encode_video(model, pixels)
        texts = model.get_text_features(ids)
        many, few = scoring.score(model, texts, stored), scoring.score(model, texts[:2], stored)
    assert scoring.absorbing_is_cheaper(2, 8, 49, 512)
    assert not scoring.absorbing_is_cheaper(32, 8, 49, 512)
    assert float((many - expected).abs().max()) <= 1e-4
    assert float((few - expected[:, :2]).abs().max()) <= 1e-4
    assert float(expected.std()) > 0.05
