"""Weight initialisation of an X-CLIP network."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import nn

if TYPE_CHECKING:
    from xclip.model import MLP, Attention, TransformerEncoder, XCLIPModel


def initialise(model: XCLIPModel) -> None:
    """Draw the towers as CLIP does, and the parts that X-CLIP adds with its std of 0.02."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for tower in (model.text_model.encoder, model.vision_model.encoder, model.mit.encoder):
        _initialise_tower(tower)
    vision, text = model.config.vision_config, model.config.text_config
    nn.init.normal_(model.mit.position_embedding, std=0.02)
    for parameter in (
        model.vision_model.embeddings.class_embedding,
        model.prompts_visual_projection,
        model.visual_projection.weight,
    ):
        nn.init.normal_(parameter, std=vision.hidden_size**-0.5)
    nn.init.normal_(model.text_projection.weight, std=text.hidden_size**-0.5)


def _initialise_tower(tower: TransformerEncoder) -> None:
    """CLIP's depth-scaled draws: the deeper the tower, the smaller what each layer adds."""
    width = cast("MLP", tower.layers[0].mlp).fc1.in_features
    residual = width**-0.5 * (2 * len(tower.layers)) ** -0.5
    for layer in tower.layers:
        attention, mlp = cast("Attention", layer.self_attn), cast("MLP", layer.mlp)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            nn.init.normal_(projection.weight, std=width**-0.5)
        nn.init.normal_(attention.out_proj.weight, std=residual)
        nn.init.normal_(mlp.fc1.weight, std=(2 * width) ** -0.5)
        nn.init.normal_(mlp.fc2.weight, std=residual)
