"""Parameter groups: which are trained, with which learning rate and weight decay.

As the original repository: what X-CLIP adds to CLIP learns ten times as fast as what CLIP brings,
and what is a vector (biases, norms, gains) or a table of positions does not decay.
"""

from __future__ import annotations

from typing import Any

from torch import nn

NEW_PARTS = ("message_", "mit.", "prompts_")
POSITIONS = ("position_embedding",)
TEXT_PARTS = ("text_model.", "text_projection.", "logit_scale")


def freeze_text(model: nn.Module) -> None:
    """Train nothing of the text tower, its projection and the scale, as the paper does."""
    for name, parameter in model.named_parameters():
        if name.startswith(TEXT_PARTS):
            parameter.requires_grad_(False)


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    new_parts: float = 1.0,
    undecayed: tuple[str, ...] = (),
) -> list[dict[str, Any]]:
    """Split the trained parameters for AdamW; `scale` of a group multiplies the rate of a step.

    new_parts : the scale of what X-CLIP adds
    undecayed : parts of names of matrices that do not decay either
    """
    groups: list[dict[str, Any]] = []
    for scale, new in ((1.0, False), (new_parts, True)):
        for decay, matrix in ((weight_decay, True), (0.0, False)):
            chosen = [
                parameter
                for name, parameter in model.named_parameters()
                if parameter.requires_grad
                and any(part in name for part in NEW_PARTS) == new
                and (parameter.ndim >= 2 and not any(part in name for part in undecayed)) == matrix
            ]
            if chosen:
                groups.append({"params": chosen, "weight_decay": decay, "scale": scale})
    return groups
