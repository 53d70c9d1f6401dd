"""Cost model: how many seconds an ingest takes on this machine, told before anything is decoded.

Two things cost time: pixels that are decoded, and segments that the model encodes. What each costs
is fitted to the latest ingests (ridge regression of two weights, drawn towards typical ones until
there are enough ingests).
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Seconds of one pixel and of one segment, where nothing is measured yet.
TYPICAL: Final = (1 / 200e6, 0.05)
_MEASURED: Final = 32
_DRAW: Final = 0.001  # how many ingests of a typical machine the typical weights count as much as
_LEAST: Final = 0.02  # of a typical weight: no ingest is free
_LEAST_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Workload:
    """What an ingest has to do.

    pixels : of all pictures that may have to be decoded
    segments : those that the model encodes
    """

    pixels: int
    segments: int


class Pricing:
    """Learns from ingests that have succeeded; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._measured: deque[tuple[Workload, float]] = deque(maxlen=_MEASURED)

    def learn(self, work: Workload, seconds: float) -> None:
        """An ingest took so long."""
        with self._lock:
            self._measured.append((work, max(seconds, _LEAST_SECONDS)))

    def price_s(self, work: Workload) -> float:
        """Seconds that the ingest will take."""
        with self._lock:
            measured = list(self._measured)
        weights = _fit(measured) * TYPICAL
        return float(weights @ (work.pixels, work.segments))


def _fit(measured: list[tuple[Workload, float]]) -> NDArray[np.float64]:
    """How many times as much a pixel and a segment cost as is typical; float64, shape = (2,).

    Relative errors are made small, so that long ingests do not decide alone.
    """
    shares = np.array(
        [
            [work.pixels * TYPICAL[0] / seconds, work.segments * TYPICAL[1] / seconds]
            for work, seconds in measured
        ]
    ).reshape(-1, 2)
    squares = shares.T @ shares + _DRAW * np.eye(2)
    wanted = shares.sum(axis=0) + _DRAW
    return np.maximum(np.linalg.solve(squares, wanted), _LEAST)
