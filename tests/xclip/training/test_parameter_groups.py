"""What is trained, how fast, and what decays."""

from __future__ import annotations

from pathlib import Path

import pytest

from xclip.model import XCLIPModel
from xclip.training.parameter_groups import POSITIONS, freeze_text, parameter_groups


@pytest.fixture
def model(checkpoint: Path) -> XCLIPModel:
    return XCLIPModel.from_pretrained(checkpoint)


def names(model: XCLIPModel, group: dict) -> set[str]:
    chosen = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in model.named_parameters() if id(parameter) in chosen}


def test_every_parameter_is_in_one_group(model: XCLIPModel) -> None:
    """Nothing is left out, nothing moves twice."""
    grouped = [names(model, group) for group in parameter_groups(model, 0.1, 10.0)]
    assert sum(len(group) for group in grouped) == len(set.union(*grouped))
    assert set.union(*grouped) == {name for name, _ in model.named_parameters()}


def test_only_matrices_decay(model: XCLIPModel) -> None:
    """Biases, norms, the prompt gain and the logit scale keep their size."""
    decayed, free = parameter_groups(model, 0.1)[0], parameter_groups(model, 0.1)[1]
    assert "visual_projection.weight" in names(model, decayed)
    assert "logit_scale" in names(model, free)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    gain = next(
        g for g in parameter_groups(model, 0.1) if "prompts_generator.alpha" in names(model, g)
    )
    assert gain["weight_decay"] == 0.0


def test_what_x_clip_adds_learns_faster(model: XCLIPModel) -> None:
    """Messages, integration over frames and prompts; the towers from CLIP do not."""
    fast = set.union(
        *(names(model, g) for g in parameter_groups(model, 0.1, 10.0) if g["scale"] == 10)
    )
    layer = "vision_model.encoder.layers.0."
    assert {
        f"{layer}message_fc.weight",
        "mit.position_embedding",
        "prompts_visual_projection",
    } < fast
    assert f"{layer}self_attn.q_proj.weight" not in fast


def test_positions_need_not_decay(model: XCLIPModel) -> None:
    """As in the original repository, where they are excepted by name."""
    groups = parameter_groups(model, 0.1, undecayed=POSITIONS)
    free = set.union(*(names(model, group) for group in groups if not group["weight_decay"]))
    assert {"mit.position_embedding", "vision_model.embeddings.position_embedding.weight"} < free


def test_the_frozen_text_side_is_tower_projection_and_scale(model: XCLIPModel) -> None:
    """The paper's setting: what is left belongs to the videos and the prompts."""
    freeze_text(model)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[0] for name in trained} == {
        "vision_model", "visual_projection", "mit", "prompts_generator",
        "prompts_visual_layernorm", "prompts_visual_projection",
    }  # fmt: skip
    assert not any(p["params"] == [] for p in parameter_groups(model, 0.1))
