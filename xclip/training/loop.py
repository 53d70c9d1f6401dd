"""Training loop: learning rate, scaling, clipping, averaging, and a saved state per step.

What a step draws is a function of the seed and its number alone, so the state needs no generator:
weights, optimiser, scaler, average and the number of steps done go on exactly where they stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from xclip.model import XCLIPModel
from xclip.training.ema import AveragedWeights
from xclip.training.schedule import Rates

LARGEST_LOGIT_SCALE = math.log(100)  # CLIP, section 2.5: clipped so that training stays stable
BETAS = (0.9, 0.98)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step was: its loss, rate, and the gradient's length before it was clipped."""

    loss: float
    rate: float
    gradient: float


@dataclass(slots=True)
class Loop:
    """The model, what moves it, and how.

    scaler : does nothing unless the precision is fp16
    averaged : kept up to date where there is one
    """

    model: XCLIPModel
    optimiser: torch.optim.Optimizer
    rates: Rates
    clip_norm: float | None = None
    averaged: AveragedWeights | None = None
    scaler: torch.amp.GradScaler = field(
        default_factory=lambda: torch.amp.GradScaler("cpu", enabled=False)
    )

    def step(self, number: int, backward: Callable[[], Tensor]) -> Taken:
        """Move the model once; `backward` computes the (scaled) gradients and returns the loss."""
        rate = self.rates.rate(number)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        self.optimiser.zero_grad(set_to_none=True)
        loss = backward()
        self.scaler.unscale_(self.optimiser)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        most = math.inf if self.clip_norm is None else self.clip_norm
        gradient = nn.utils.clip_grad_norm_(trained, most)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=LARGEST_LOGIT_SCALE)
        if self.averaged is not None:
            self.averaged.update()
        return Taken(float(loss.detach()), rate, float(gradient))

    def save(self, file: Path, run: str, done: int) -> None:
        """Write the state after `done` steps of the run that is described by `run`, atomically."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        state = {
            "run": run,
            "done": done,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.averaged is None else self.averaged.average,
        }
        torch.save(state, partial)
        partial.replace(file)

    def load(self, file: Path, run: str) -> int:
        """Restore a saved state and return the steps done; 0 where nothing was saved.

        Raises ValueError where what was saved belongs to another run.
        """
        if not file.exists():
            return 0
        state = torch.load(file, weights_only=True, map_location="cpu")
        if state["run"] != run:
            raise ValueError(f"{file} belongs to another run: {state['run']}")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        if self.averaged is not None:
            self.averaged.load(state["average"])
        return int(state["done"])
