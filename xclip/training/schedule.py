"""Learning rate schedule over a run."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rates:
    """Linear warm-up to the peak, then a cosine down to `final` of it; steps count from 0."""

    steps: int
    warm_up: int
    peak: float
    final: float = 0.0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        if step < self.warm_up:
            return self.peak * (step + 1) / self.warm_up
        along = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        cosine = 0.5 * (1 + math.cos(math.pi * along))
        return self.peak * (self.final + (1 - self.final) * cosine)
