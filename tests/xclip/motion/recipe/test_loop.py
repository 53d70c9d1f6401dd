"""The loop of the embedded checkpoint: it learns, and it goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from xclip.config import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip.model import XCLIPModel
from xclip.motion.recipe.loop import Schedule, train
from xclip.training.network import Batch

SCHEDULE = Schedule(
    steps=12, warm_up=3, peak_rate=3e-3, weight_decay=0.1, clip_norm=1.0, seed=5, save_every=4
)


def tiny_model() -> XCLIPModel:
    text = XCLIPTextConfig(
        vocab_size=20, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=8,
    )  # fmt: skip
    vision = XCLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        mit_hidden_size=16, mit_intermediate_size=32, mit_num_attention_heads=2,
        image_size=8, patch_size=4, num_frames=2,
    )  # fmt: skip
    torch.manual_seed(SCHEDULE.seed)
    return XCLIPModel(XCLIPConfig(text, vision, projection_dim=16, prompt_num_attention_heads=2))


def solid_colours(step: int) -> Batch:
    """Four videos of one grey level each; the text's second token names the level."""
    random = torch.Generator().manual_seed(step)
    level = torch.arange(4.0)[:, None, None, None, None] - 1.5
    pixels = level + 0.1 * torch.randn(4, 2, 3, 8, 8, generator=random)
    ids = torch.tensor([[18, level, 19] for level in range(4)])
    return Batch(pixels, ids, torch.ones_like(ids))


def losses(
    model: XCLIPModel, file: Path, schedule: Schedule = SCHEDULE, stop_after: int | None = None
) -> list[float]:
    seen: list[float] = []

    def report(step: int, loss: float) -> None:
        seen.append(loss)
        if step == stop_after:
            raise KeyboardInterrupt

    try:
        train(model, solid_colours, schedule, file, report)
    except KeyboardInterrupt:
        assert stop_after is not None
    return seen


def test_training_lowers_the_loss_far_below_chance(tmp_path: Path) -> None:
    """Sixty steps on four separable videos bring the loss well under ln 4."""
    seen = losses(tiny_model(), tmp_path / "state.pt", replace(SCHEDULE, steps=60))
    assert seen[0] > 1.2
    assert seen[-1] < 0.4


def test_an_interrupted_run_follows_the_same_curve(tmp_path: Path) -> None:
    """Stopped after step 6, resumed from step 4, every loss is bit for bit the same."""
    whole = losses(tiny_model(), tmp_path / "whole.pt")
    losses(tiny_model(), tmp_path / "parts.pt", stop_after=6)
    rest = losses(tiny_model(), tmp_path / "parts.pt")
    assert rest == whole[4:]


def test_a_saved_run_of_another_schedule_is_refused(tmp_path: Path) -> None:
    """Going on under other settings would be neither run."""
    losses(tiny_model(), tmp_path / "state.pt")
    with pytest.raises(ValueError, match="another run"):
        losses(tiny_model(), tmp_path / "state.pt", replace(SCHEDULE, peak_rate=1.0))
