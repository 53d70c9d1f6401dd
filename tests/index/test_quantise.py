"""Quantised rows: how far a number may move, whatever the numbers are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from index.quantise import dequantise, quantise

ROWS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=12),
    elements=st.floats(-(2.0**99), 2.0**99, width=32),
)


@given(ROWS)
def test_no_number_moves_by_more_than_half_a_step(rows: NDArray[np.float32]) -> None:
    """A step is the row's own largest magnitude by 127; what is smaller than float32 is zero."""
    stored = quantise(rows)
    assert (stored.values.dtype, stored.scale.dtype) == (np.int8, np.float32)
    assert (stored.values.shape, stored.scale.shape) == (rows.shape, rows.shape[:-1])
    peak = np.abs(rows).max(axis=-1, keepdims=True).astype(np.float64)
    error = np.abs(dequantise(stored).astype(np.float64) - rows)
    assert (error <= peak / 254 * (1 + 1e-5) + 127 * np.finfo(np.float32).tiny).all()


@given(ROWS)
def test_what_was_quantised_once_stays(rows: NDArray[np.float32]) -> None:
    """Reading and storing again changes nothing more."""
    once = quantise(rows)
    again = quantise(dequantise(once))
    np.testing.assert_array_equal(again.values, once.values)
    np.testing.assert_allclose(again.scale, once.scale, rtol=1e-6)


@given(ROWS, st.integers(-20, 20))
def test_a_row_is_rounded_in_its_own_size(rows: NDArray[np.float32], power: int) -> None:
    """Rows of any size keep the same integers, so a large row costs its neighbours nothing."""
    large = np.where(np.abs(rows) < 2.0**-60, np.float32(0), rows)
    scaled = np.ldexp(large, power).astype(np.float32)
    np.testing.assert_array_equal(quantise(scaled).values, quantise(large).values)


def test_zeros_stay_zeros() -> None:
    """A row of zeros has no scale to divide by."""
    np.testing.assert_array_equal(dequantise(quantise(np.zeros((2, 3), np.float32))), 0)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_not_hidden(broken: float) -> None:
    """What the model got wrong must not come back as plausible numbers; other rows are whole."""
    rows = np.array([[1, broken, 2], [1, 2, 3]], np.float32)
    back = dequantise(quantise(rows))
    assert np.isnan(back[0]).all()
    np.testing.assert_allclose(back[1], rows[1], atol=3 / 254)
