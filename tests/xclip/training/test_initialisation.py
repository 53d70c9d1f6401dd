"""The first weights: from CLIP, from an X-CLIP checkpoint, from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from xclip.errors import ConfigError, WeightsError
from xclip.processor import XCLIPProcessor
from xclip.training.config import ModelConfig
from xclip.training.initialisation import first_model
from xclip.weights import load_model


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    """A random CLIP, written by transformers, with the tokenizer of the X-CLIP checkpoint."""
    folder = tmp_path_factory.mktemp("clip")
    tower = {"intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    processor = XCLIPProcessor.from_pretrained(checkpoint)
    text = {
        "vocab_size": processor.tokenizer.vocab_size, "hidden_size": 16,
        "max_position_embeddings": 16, "eos_token_id": 2, **tower,
    }  # fmt: skip
    vision = {"hidden_size": 24, "image_size": 20, "patch_size": 8, **tower}
    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(text_config=text, vision_config=vision, projection_dim=64)
    ).save_pretrained(folder)
    processor.tokenizer.save(folder)
    return folder


def test_from_clip_both_towers_are_clips(clip: Path) -> None:
    """Texts have CLIP's features, and every weight of CLIP is where it belongs, bit for bit."""
    model, processor = first_model(ModelConfig(str(clip), "clip", num_frames=3), 1)
    twin = CLIPModel.from_pretrained(clip).eval()
    ids = processor.tokenizer(["a red circle", "moves left"]).input_ids
    assert model.config.vision_config.num_frames == 3
    with torch.no_grad():
        theirs = twin.text_projection(twin.text_model(ids).pooler_output)
        assert torch.allclose(model.get_text_features(ids), theirs, atol=1e-5)
    ours = model.state_dict()
    for name, value in twin.state_dict().items():
        if "position_ids" not in name:
            assert torch.equal(ours[name.replace("pre_layrnorm", "pre_layernorm")], value), name


def test_what_x_clip_adds_is_drawn_by_the_seed(clip: Path) -> None:
    """The same seed, the same weights; the prompts begin at a tenth."""
    states = [
        first_model(ModelConfig(str(clip), "clip"), seed)[0].state_dict() for seed in (1, 1, 2)
    ]
    name = "mit.encoder.layers.0.mlp.fc1.weight"
    assert torch.equal(states[0][name], states[1][name])
    assert not torch.equal(states[0][name], states[2][name])
    assert torch.all(states[0]["prompts_generator.alpha"] == 0.1)


def test_from_a_checkpoint_nothing_changes(checkpoint: Path) -> None:
    """But what is trained, and how often messages are dropped: never first, most often last."""
    model, _ = first_model(ModelConfig(str(checkpoint), drop_path=0.3), 1)
    expected = load_model(checkpoint).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert not model.text_projection.weight.requires_grad
    rates = [layer.drop_path.rate for layer in model.vision_model.encoder.layers]
    assert rates == pytest.approx([0.0, 0.3])


def test_from_scratch_only_the_sizes_are_taken(checkpoint: Path) -> None:
    """Weights are new, and none is frozen by default."""
    model, _ = first_model(ModelConfig(str(checkpoint), "scratch", text="trained"), 1)
    assert model.config == load_model(checkpoint).config
    kept = load_model(checkpoint).visual_projection.weight
    assert not torch.equal(model.visual_projection.weight, kept)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_what_is_no_clip_is_refused(clip: Path, checkpoint: Path, tmp_path: Path) -> None:
    """Another kind of model, and CLIP weights that do not fit their configuration."""
    with pytest.raises(ConfigError, match="not 'clip'"):
        first_model(ModelConfig(str(checkpoint), "clip"), 1)
    text = (clip / "config.json").read_text().replace('"patch_size": 8', '"patch_size": 10')
    for file in clip.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError, match="not a CLIP that fits X-CLIP"):
        first_model(ModelConfig(str(tmp_path), "clip"), 1)
