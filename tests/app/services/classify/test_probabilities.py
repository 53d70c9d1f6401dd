"""From logits to probabilities."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from app.services.classify.probabilities import HighestScores, LabelScores, MeanScores, softmax

logits = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-10_000, 10_000, width=32),
)
rows = arrays(np.float64, array_shapes(min_dims=1, max_dims=1), elements=st.floats(0, 1))


@given(values=logits)
def test_probabilities_are_finite_and_sum_to_one(values: np.ndarray):
    """However large the logits, each row is a distribution in their order."""
    found = softmax(values)
    assert np.isfinite(found).all()
    assert np.allclose(found.sum(axis=1), 1)
    assert (found[np.arange(len(found)), values.argmax(axis=1)] == found.max(axis=1)).all()


@given(values=arrays(np.float32, (3, 4), elements=st.floats(-20, 20, width=32)))
def test_probabilities_are_the_exponentials_shares(values: np.ndarray):
    """Where nothing overflows, the textbook formula gives the same."""
    exponentials = np.exp(values.astype(np.float64))
    assert np.allclose(softmax(values), exponentials / exponentials.sum(axis=1, keepdims=True))


@given(values=rows, top=st.integers(1, 12))
def test_the_top_are_the_most_probable_in_order(values: np.ndarray, top: int):
    """Sorted by probability, then by place; as many as asked for, or as there are."""
    found = LabelScores.of(values, len(values), top)
    expected = sorted(enumerate(values.tolist()), key=lambda pair: (-pair[1], pair[0]))[:top]
    assert list(zip(found.indices.tolist(), found.probabilities.tolist(), strict=True)) == expected


@given(values=rows)
def test_without_a_top_all_labels_keep_their_places(values: np.ndarray):
    """Nothing is sorted that nobody asked to sort."""
    found = LabelScores.of(values, len(values), None)
    assert found.indices.tolist() == list(range(len(values)))
    assert found.probabilities.tolist() == values.tolist()


@given(values=arrays(np.float64, (5, 3), elements=st.floats(0, 1)))
def test_the_mean_is_that_of_all_rows(values: np.ndarray):
    """One row at a time gives what all at once would, and leaves the rows as they were."""
    mean, before = MeanScores(), values.copy()
    for row in values:
        mean.add(row)
    assert np.allclose(mean.value, values.mean(axis=0))
    assert (values == before).all()


@given(values=arrays(np.float64, (5, 3), elements=st.floats(0, 1)))
def test_the_highest_is_that_of_all_rows(values: np.ndarray):
    """Label by label, whichever row it is in; the rows stay as they were."""
    highest, before = HighestScores(), values.copy()
    for row in values:
        highest.add(row)
    assert (highest.value == values.max(axis=0)).all()
    assert (values == before).all()


@given(values=rows, top=st.integers(1, 12))
def test_none_of_these_stands_beside_the_labels(values: np.ndarray, top: int):
    """What follows the labels in a row is never one of the top, however probable."""
    found = LabelScores.of(np.append(values, 2.0), len(values), top)
    assert found.none_of_these == 2.0
    assert found.indices.max() < len(values)
    assert LabelScores.of(values, len(values), top).none_of_these is None
