"""Training loop of motion-tiny: contrastive, on batches that are generated, not read.

The batch of a step is a function of the seed and the step's number alone, so an interrupted run
goes on exactly where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from xclip.model import XCLIPModel
from xclip.training.loop import BETAS, Loop
from xclip.training.network import Batch
from xclip.training.parameter_groups import parameter_groups
from xclip.training.progress import progress
from xclip.training.schedule import Rates


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


def train(
    model: XCLIPModel,
    batch: Callable[[int], Batch],
    schedule: Schedule,
    state_file: Path,
    report: Callable[[int, float], None],
) -> None:
    """Train `model` in place, going on from `state_file` where there is one.

    batch : gives the batch of a step; report : is called with step and loss after every step

    Raises ValueError where the saved run followed another schedule.
    """
    groups = parameter_groups(model, schedule.weight_decay)
    optimiser = torch.optim.AdamW(groups, betas=BETAS)
    rates = Rates(schedule.steps, schedule.warm_up, schedule.peak_rate)
    loop = Loop(model, optimiser, rates, schedule.clip_norm)
    run = json.dumps(asdict(schedule), sort_keys=True)
    done = loop.load(state_file, run)
    model.train()
    with progress(done, schedule.steps) as advance:
        for step in range(done, schedule.steps):
            taken = loop.step(step, partial(_backward, model, batch(step)))
            advance(taken)
            report(step + 1, taken.loss)
            if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
                loop.save(state_file, run, step + 1)
    model.eval()


def _backward(model: XCLIPModel, drawn: Batch) -> Tensor:
    ids, pixels, mask = drawn.input_ids, drawn.pixel_values, drawn.attention_mask
    loss = model(ids, pixels, mask, return_loss=True).loss
    assert isinstance(loss, Tensor), "return_loss gives one"
    torch.autograd.backward(loss)
    return loss
