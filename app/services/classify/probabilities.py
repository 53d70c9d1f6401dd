"""Probabilities of labels, over segments and whole videos.

L labels, n of them answered. A row holds the probabilities of L labels and, if requested, of
none of them after these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelScores:
    """The labels that are answered, by their indices in the list of all, and their probabilities.

    indices : int, shape = (n,)
    probabilities : shape = (n,)
    none_of_these : the probability that no label fits, if it was requested
    """

    indices: npt.NDArray[np.intp]
    probabilities: Probabilities
    none_of_these: float | None

    @classmethod
    def of(cls, row: Probabilities, labels: int, top: int | None) -> Self:
        """The `top` most probable of the labels, most probable first; all in their order if None.

        Equal probabilities keep the order of their labels.
        """
        none = float(row[labels]) if len(row) > labels else None
        probabilities = row[:labels]
        if top is None:
            return cls(np.arange(len(probabilities)), probabilities, none)
        indices = np.argsort(-probabilities, kind="stable")[:top].copy()
        return cls(indices, probabilities[indices], none)


class MeanScores:
    """The mean of rows that come one after another; holds one row."""

    def __init__(self) -> None:
        self._sum: Probabilities = np.zeros(0)
        self._count = 0

    def add(self, row: Probabilities) -> None:
        """Take one row in."""
        self._sum = self._sum + row if self._count else row
        self._count += 1

    @property
    def value(self) -> Probabilities:
        """The mean of the rows so far; of none it has no labels."""
        return self._sum / max(1, self._count)


class HighestScores:
    """The highest of rows that come one after another, label by label; holds one row."""

    def __init__(self) -> None:
        self._highest: Probabilities = np.zeros(0)

    def add(self, row: Probabilities) -> None:
        """Take one row in."""
        self._highest = np.maximum(self._highest, row) if self._highest.size else row

    @property
    def value(self) -> Probabilities:
        """The highest so far; of no rows it has no labels."""
        return self._highest


def softmax(logits: npt.NDArray[np.float32]) -> Probabilities:
    """Probabilities over the last axis, in float64; never overflows."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
