"""Ranks against published code, restated here, on random scores that tie often.

frozen-in-time and collaborative-experts sort the negated scores of a row and look where the right
one's value is among them; where it occurs several times they take the mean of the ranks or
the first. CLIP4Clip looks in the same way and keeps every rank.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from xclip.evaluation.metrics import (
    RankFigures,
    best_ranks,
    confusion,
    found_at,
    mean_class_accuracy,
)

# Few different values, so that most rows tie.
SQUARES = st.integers(1, 9).flatmap(
    lambda size: arrays(np.float32, (size, size), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0]))
)


def ranks_of_the_diagonal(scores: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """Of each row, all ranks at which the sorted row holds the right one's value."""
    distances = np.sort(-scores, axis=1)
    return [np.flatnonzero(row == -scores[i, i]) for i, row in enumerate(distances)]


@given(SQUARES)
def test_ranks_are_those_of_published_code_by_each_rule(scores: NDArray[np.float32]):
    """One right candidate for each query, on the diagonal."""
    right = np.eye(len(scores), dtype=np.bool_)
    ranks = ranks_of_the_diagonal(scores)
    assert best_ranks(scores, right, "average").tolist() == [rank.mean() for rank in ranks]
    assert best_ranks(scores, right, "optimistic").tolist() == [rank[0] for rank in ranks]
    assert best_ranks(scores, right, "repeat").tolist() == np.concatenate(ranks).tolist()


@given(SQUARES)
def test_figures_are_those_of_published_code(scores: NDArray[np.float32]):
    """R@1 counts ranks of 0, R@5 and R@10 those below; median and mean count from 1."""
    columns = np.array([rank.mean() for rank in ranks_of_the_diagonal(scores)])
    figures = RankFigures.of(best_ranks(scores, np.eye(len(scores), dtype=np.bool_)))
    assert figures.r1 == pytest.approx(np.sum(columns == 0) / len(columns))
    assert figures.r5 == pytest.approx(np.sum(columns < 5) / len(columns))
    assert figures.r10 == pytest.approx(np.sum(columns < 10) / len(columns))
    assert figures.median == np.median(columns) + 1
    assert figures.mean == pytest.approx(np.mean(columns) + 1)


@given(SQUARES, st.integers(1, 3))
def test_a_clip_with_several_captions_has_the_rank_of_the_best(
    scores: NDArray[np.float32], captions: int
):
    """As collaborative-experts counts video→text: the least of the ranks of its captions."""
    wide = np.concatenate([scores, scores.T, scores[::-1]][:captions], axis=1)
    right = np.concatenate([np.eye(len(scores), dtype=np.bool_)] * captions, axis=1)
    expected = []
    for row, relevant in zip(wide, right, strict=True):
        ordered = np.sort(-row)
        expected.append(min(np.flatnonzero(ordered == -value).mean() for value in row[relevant]))
    assert best_ranks(wide, right).tolist() == expected


@given(SQUARES, st.randoms(use_true_random=False))
def test_by_the_average_the_order_of_candidates_changes_nothing(
    scores: NDArray[np.float32], random
):
    """Ranks stay when all columns are shuffled."""
    order = list(range(len(scores)))
    random.shuffle(order)
    right = np.eye(len(scores), dtype=np.bool_)
    assert (
        best_ranks(scores[:, order], right[:, order]).tolist() == best_ranks(scores, right).tolist()
    )


def test_a_model_that_scores_all_alike_gets_what_guessing_gets():
    """The mean rank is the middle one; the optimistic rule calls the same model perfect."""
    scores, right = np.zeros((20, 20)), np.eye(20, dtype=np.bool_)
    assert RankFigures.of(best_ranks(scores, right)).mean == 10.5
    assert RankFigures.of(best_ranks(scores, right)).r5 == 0.0
    assert RankFigures.of(best_ranks(scores, right, "optimistic")).r1 == 1.0


def test_an_average_of_half_a_rank_is_not_found_at_one_but_counts_below_five():
    """The published code compares with 0 for R@1 and with less than k otherwise."""
    assert found_at(np.array([0.5]), 1) == 0.0
    assert found_at(np.array([4.5]), 5) == 1.0


@pytest.mark.parametrize(
    ("scores", "relevant", "message"),
    [
        (np.zeros((2, 3)), np.eye(2, dtype=bool), "shape"),
        (np.array([[np.nan]]), np.ones((1, 1), bool), "NaN"),
        (np.zeros((1, 2)), np.zeros((1, 2), bool), "no relevant"),
    ],
)
def test_ranks_are_refused_where_they_would_mean_nothing(scores, relevant, message: str):
    """Other shapes, scores that are NaN, a query without an answer."""
    with pytest.raises(ValueError, match=message):
        best_ranks(scores, relevant)
    with pytest.raises(ValueError, match="no ranks"):
        RankFigures.of(np.empty(0))


def test_confusion_counts_pairs_and_the_class_mean_weighs_labels_alike():
    """Three of label 0, one of label 1, none of label 2."""
    counts = confusion(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 2]), 3)
    assert counts.tolist() == [[2, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert mean_class_accuracy(counts) == pytest.approx((2 / 3 + 0) / 2)
