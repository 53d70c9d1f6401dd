"""Exponential moving average of the weights over the steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """An exponential moving average of the trained parameters, in float32."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._trained = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
        self.average = {
            name: parameter.detach().float().clone() for name, parameter in self._trained.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Take the parameters of one more step in."""
        for name, parameter in self._trained.items():
            self.average[name].lerp_(parameter.float(), 1 - self._decay)

    def load(self, average: dict[str, Tensor]) -> None:
        """Go on from a saved average."""
        for name, value in average.items():
            self.average[name].copy_(value)

    @contextmanager
    @torch.no_grad()
    def in_place(self) -> Iterator[None]:
        """Put the average into the model for as long as the block lasts."""
        kept = {name: parameter.clone() for name, parameter in self._trained.items()}
        self._put(self.average)
        try:
            yield
        finally:
            self._put(kept)

    def _put(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._trained.items():
            parameter.copy_(values[name])
