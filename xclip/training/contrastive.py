"""The contrastive training loop: seeded, resumable, with a progress bar.

The batch of a step is a function of the seed and the step's number alone, and the state of the
optimiser is saved with the weights, so an interrupted run goes on exactly where it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from xclip.model import XCLIPModel

LARGEST_LOGIT_SCALE = math.log(100)  # CLIP, section 2.5: clipped so that training stays stable


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to train: linear warm-up to the peak rate, then cosine to zero."""

    steps: int
    warm_up: int
    peak_rate: float
    weight_decay: float
    clip_norm: float
    seed: int
    save_every: int

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warm_up:
            return self.peak_rate * (step + 1) / self.warm_up
        along = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.peak_rate * 0.5 * (1 + math.cos(math.pi * along))


@dataclass(frozen=True, slots=True)
class Batch:
    """B videos and the text of each.

    pixel_values : Tensor, shape = (B, T, C, height, width); input_ids, attention_mask : (B, S)
    """

    pixel_values: Tensor
    input_ids: Tensor
    attention_mask: Tensor


def train(
    model: XCLIPModel,
    batch: Callable[[int], Batch],
    schedule: Schedule,
    state_file: Path,
    report: Callable[[int, float], None],
) -> None:
    """Train `model` in place, going on from `state_file` where there is one.

    batch : gives the batch of a step; report : is told step and loss after every step
    """
    optimiser = torch.optim.AdamW(parameter_groups(model, schedule.weight_decay), betas=(0.9, 0.98))
    done = load_state(state_file, model, optimiser, schedule)
    model.train()
    for step in _steps_with_bar(done, schedule.steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        drawn = batch(step)
        output = model(drawn.input_ids, drawn.pixel_values, drawn.attention_mask, return_loss=True)
        optimiser.zero_grad(set_to_none=True)
        output.loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), schedule.clip_norm)
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=LARGEST_LOGIT_SCALE)
        report(step + 1, float(output.loss.detach()))
        if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
            save_state(state_file, model, optimiser, schedule, step + 1)
    model.eval()


def parameter_groups(model: XCLIPModel, weight_decay: float) -> list[dict[str, object]]:
    """Split the parameters: matrices decay; biases, norms, gains and the scale do not."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    free = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]


def _steps_with_bar(done: int, steps: int) -> Iterator[int]:
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("training", total=steps, completed=done)
        for step in range(done, steps):
            yield step
            progress.advance(task)


def save_state(
    file: Path,
    model: XCLIPModel,
    optimiser: torch.optim.Optimizer,
    schedule: Schedule,
    done: int,
) -> None:
    """Write weights, optimiser state and the number of steps done, atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": asdict(schedule),
        "done": done,
    }
    torch.save(state, partial)
    partial.replace(file)


def load_state(
    file: Path, model: XCLIPModel, optimiser: torch.optim.Optimizer, schedule: Schedule
) -> int:
    """Restore a saved run and return the steps done; 0 where nothing was saved.

    Raises ValueError where the saved run followed another schedule.
    """
    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True)
    if state["schedule"] != asdict(schedule):
        raise ValueError(f"{file} was trained with another schedule: {state['schedule']}")
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["done"])
