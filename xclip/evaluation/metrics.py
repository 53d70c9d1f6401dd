"""Retrieval metrics: ranks, R@K, MdR and MnR, equal to the code of published figures.

Every rank counts from 0. Where scores tie, three rules are in use:

average     the mean of the ranks that tied candidates share, as collaborative-experts and
            frozen-in-time offer. The default here: the order of a list cannot change it, and a
            model that scores everything alike gets what guessing gets.
optimistic  the first of these ranks, their default. A constant model would be perfect.
repeat      every one of these ranks, as in CLIP4Clip: a query with ties counts several times.

R@1 counts ranks of exactly 0 and R@k for a larger k those below k, as all of them do; so an average
of 0.5 is not found at 1, while one of 4.5 is found at 5.

N queries, M candidates, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ties = Literal["average", "optimistic", "repeat"]


@dataclass(frozen=True, slots=True)
class RankFigures:
    """The published figures of N ranks; recalls are shares, median and mean count from 1."""

    queries: int
    r1: float
    r5: float
    r10: float
    median: float
    mean: float

    @classmethod
    def of(cls, ranks: Floats) -> RankFigures:
        """ranks : float64, shape = (N,), from 0. Raises ValueError if there is none."""
        if not len(ranks):
            raise ValueError("there are no ranks to report on")
        return cls(
            queries=len(ranks),
            r1=found_at(ranks, 1),
            r5=found_at(ranks, 5),
            r10=found_at(ranks, 10),
            median=float(np.median(ranks)) + 1,
            mean=float(np.mean(ranks)) + 1,
        )


def found_at(ranks: Floats, k: int) -> float:
    """The share of ranks that count as found among the first k."""
    return float(np.mean(ranks == 0 if k == 1 else ranks < k))


def best_ranks(
    scores: NDArray[np.floating], relevant: NDArray[np.bool_], ties: Ties = "average"
) -> Floats:
    """The rank of each query's best relevant candidate among all candidates; float64, (N,).

    scores : shape = (N, M); relevant : shape = (N, M), at least one in each row
    ties : with "repeat" there are more ranks than queries where scores tie

    Raises ValueError for other shapes, a row without a relevant candidate, and scores that are NaN,
    which have no order.
    """
    if scores.shape != relevant.shape or scores.ndim != 2:
        raise ValueError(
            f"scores have shape {scores.shape} and relevance has shape {relevant.shape}; "
            "both need the same two dimensions"
        )
    if np.isnan(scores).any():
        raise ValueError("some scores are NaN")
    if not relevant.any(axis=1).all():
        raise ValueError("a query has no relevant candidate")
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)  # (N, 1)
    above = (scores > best).sum(axis=1)
    tied = (scores == best).sum(axis=1)
    if ties == "optimistic":
        return np.asarray(above, np.float64)
    if ties == "average":
        return np.asarray(above + (tied - 1) / 2, np.float64)
    pairs = zip(above, tied, strict=True)
    return np.concatenate([np.arange(a, a + t, dtype=np.float64) for a, t in pairs])


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], labels: int) -> Floats:
    """The confusion matrix in counts; float64, shape = (L, L), true labels in rows."""
    counts = np.zeros((labels, labels))
    np.add.at(counts, (truth, predicted), 1)
    return counts


def mean_class_accuracy(counts: Floats) -> float:
    """Accuracy averaged over the labels that occur, so that frequent ones weigh no more."""
    totals = counts.sum(axis=1)
    occurs = totals > 0
    return float(np.mean(np.diag(counts)[occurs] / totals[occurs]))
