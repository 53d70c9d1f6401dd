"""From logits to probabilities."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from app.services.classify import softmax

logits = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-10_000, 10_000, width=32),
)


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
