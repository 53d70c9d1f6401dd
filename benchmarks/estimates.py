"""Bootstrap: shares and calibration errors measured on clips, each with its 95 % interval.

Clips are what is drawn again, so that several answers about one clip never count as independent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xclip.confidence.calibration import expected_calibration_error

RESAMPLES = 2000

Chosen = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Guess:
    """An answer's confidence, from 0 to 1, and whether the answer is right."""

    confidence: float
    right: bool


@dataclass(frozen=True)
class Result:
    """One line of a table.

    clips : what the interval is drawn over; by_seed : the figure of each seed alone; plain,
    averaged : the peers', where they were asked; chance : what guessing gives; bar : what the
    project promises, as text
    """

    table: str
    measure: str
    clips: int
    service: Estimate
    by_seed: tuple[float, ...]
    plain: float | None
    averaged: float | None
    chance: float | None
    bar: str


@dataclass
class _Rows:
    """One measure: a row a clip, and the seed each was drawn with."""

    seeds: list[int] = field(default_factory=list)
    service: list[float] = field(default_factory=list)
    guesses: list[tuple[Guess, ...]] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    averaged: list[float] = field(default_factory=list)


class Tally:
    """What was measured for one table, clip by clip; `seed` is that of the clips added next."""

    def __init__(self, table: str) -> None:
        self.table = table
        self.seed = 0
        self._rows: dict[str, _Rows] = defaultdict(_Rows)

    def add(
        self,
        measure: str,
        service: float,
        plain: float | None = None,
        averaged: float | None = None,
    ) -> None:
        """One clip: right or wrong, or the share of its answers that are right."""
        rows = self._rows[measure]
        rows.seeds.append(self.seed)
        rows.service.append(float(service))
        if plain is not None and averaged is not None:
            rows.plain.append(float(plain))
            rows.averaged.append(float(averaged))

    def add_guesses(self, measure: str, guesses: Iterable[Guess]) -> None:
        """One clip's answers; the measure is their calibration error."""
        rows = self._rows[measure]
        rows.seeds.append(self.seed)
        rows.guesses.append(tuple(guesses))

    def result(self, measure: str, chance: float | None = None, bar: str = "") -> Result:
        """The line of a measure that at least one clip was added to."""
        rows = self._rows[measure]
        of = _calibration_error(rows.guesses) if rows.guesses else _mean(rows.service)
        seeds = np.array(rows.seeds)
        return Result(
            table=self.table,
            measure=measure,
            clips=len(seeds),
            service=bootstrap(len(seeds), of),
            by_seed=tuple(of(np.flatnonzero(seeds == seed)) for seed in dict.fromkeys(rows.seeds)),
            plain=float(np.mean(rows.plain)) if rows.plain else None,
            averaged=float(np.mean(rows.averaged)) if rows.averaged else None,
            chance=chance,
            bar=bar,
        )

    def __iter__(self) -> Iterator[str]:
        """The measures that clips were added to, in the order in which they came."""
        return iter(self._rows)


def bootstrap(count: int, statistic: Callable[[Chosen], float]) -> Estimate:
    """The statistic of all clips, and the middle 95 % of it over clips drawn with replacement."""
    random = np.random.default_rng(0)
    drawn = [statistic(random.integers(count, size=count)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, (2.5, 97.5)).tolist()
    return Estimate(statistic(np.arange(count)), low, high)


def _mean(values: Sequence[float]) -> Callable[[Chosen], float]:
    every = np.array(values)
    return lambda chosen: float(every[chosen].mean())


def _calibration_error(clips: Sequence[tuple[Guess, ...]]) -> Callable[[Chosen], float]:
    """Clips have equally many guesses each."""
    confidence = np.array([[guess.confidence for guess in guesses] for guesses in clips])
    right = np.array([[guess.right for guess in guesses] for guesses in clips])
    return lambda chosen: expected_calibration_error(
        confidence[chosen].ravel(), right[chosen].ravel()
    )
