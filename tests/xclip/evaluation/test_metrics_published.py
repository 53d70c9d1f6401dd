"""Ranks and accuracies against SciPy's and scikit-learn's, on random scores that tie often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    coverage_error,
    label_ranking_average_precision_score,
    top_k_accuracy_score,
)

from xclip.evaluation.classification import Classification
from xclip.evaluation.metrics import RankFigures, best_ranks, confusion, mean_class_accuracy

# Few different values, so that most rows tie.
VALUES = st.sampled_from([-1.0, 0.0, 0.5, 2.0])
SQUARES = st.integers(2, 9).flatmap(lambda n: arrays(np.float64, (n, n), elements=VALUES))
LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


def diagonal(size: int) -> NDArray[np.bool_]:
    return np.eye(size, dtype=np.bool_)


@given(SQUARES)
def test_ranks_are_those_of_scipy(scores: NDArray[np.float64]):
    """One right candidate a query; ties by the mean rank, by the first, and by every rank."""
    right = diagonal(len(scores))
    by_mean = rankdata(-scores, method="average", axis=1).diagonal() - 1
    by_first = rankdata(-scores, method="min", axis=1).diagonal() - 1
    by_last = rankdata(-scores, method="max", axis=1).diagonal() - 1
    assert best_ranks(scores, right).tolist() == by_mean.tolist()
    assert best_ranks(scores, right, "optimistic").tolist() == by_first.tolist()
    every = [rank for a, b in zip(by_first, by_last, strict=True) for rank in np.arange(a, b + 1)]
    assert best_ranks(scores, right, "repeat").tolist() == every


@given(SQUARES, st.integers(0, 2**32 - 1))
def test_the_best_of_several_right_candidates_counts_as_scipy_ranks_it(
    scores: NDArray[np.float64], seed: int
):
    """Right ones drawn at random; the first rank is the same whatever ties with what."""
    right = diagonal(len(scores)) | (np.random.default_rng(seed).random(scores.shape) < 0.3)
    ranks = rankdata(-scores, method="min", axis=1) - 1
    best = np.where(right, ranks, np.inf).min(axis=1)
    assert best_ranks(scores, right, "optimistic").tolist() == best.tolist()


@given(SQUARES)
def test_figures_are_those_of_scipys_ranks(scores: NDArray[np.float64]):
    """Recalls, median and mean of the mean ranks, which SciPy counts from 1."""
    ranks = rankdata(-scores, method="average", axis=1).diagonal()
    figures = RankFigures.of(best_ranks(scores, diagonal(len(scores))))
    assert (figures.median, figures.mean) == (np.median(ranks), pytest.approx(ranks.mean()))
    assert figures.r1 == np.mean(ranks == 1)
    assert (figures.r5, figures.r10) == (np.mean(ranks < 6), np.mean(ranks < 11))


@given(SQUARES)
def test_the_last_of_tied_ranks_gives_scikit_learns_coverage_and_precision(
    scores: NDArray[np.float64],
):
    """Its ranking losses count ties against the model: the last rank of "repeat" for each row."""
    right = diagonal(len(scores))
    first, mean = best_ranks(scores, right, "optimistic"), best_ranks(scores, right)
    last = 2 * mean - first
    assert coverage_error(right, scores) == pytest.approx(np.mean(last + 1))
    precision = label_ranking_average_precision_score(right, scores)
    assert precision == pytest.approx(np.mean(1 / (last + 1)))


@given(st.integers(6, 9), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_recalls_without_ties_are_scikit_learns_top_k(labels: int, queries: int, seed: int):
    """Distinct scores: every library agrees on who is among the first k."""
    random = np.random.default_rng(seed)
    scores = random.permuted(np.tile(np.arange(labels, dtype=float), (queries, 1)), axis=1)
    truth = random.integers(0, labels, queries)
    right = truth[:, None] == np.arange(labels)
    figures = RankFigures.of(best_ranks(scores, right))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    classified = Classification(tuple("abcdefghi"[:labels]), truth, shares)
    for k, recall in ((1, figures.r1), (5, figures.r5)):
        published = top_k_accuracy_score(truth, scores, k=k, labels=np.arange(labels))
        assert recall == pytest.approx(published)
        assert classified.top(k) == pytest.approx(published)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@given(LABELS)
def test_confusion_and_accuracies_are_scikit_learns(pairs: list[tuple[int, int]]):
    """Labels that never occur count neither for nor against the mean over labels."""
    truth, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    counts = confusion(truth, predicted, 4)
    published = confusion_matrix(truth, predicted, labels=np.arange(4))
    assert counts.tolist() == published.tolist()
    assert counts.trace() / counts.sum() == pytest.approx(accuracy_score(truth, predicted))
    balanced = balanced_accuracy_score(truth, predicted)
    assert mean_class_accuracy(counts) == pytest.approx(balanced)
