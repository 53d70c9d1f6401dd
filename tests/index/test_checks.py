"""The checks that every vector index makes before it takes arrays in."""

from __future__ import annotations

import numpy as np
import pytest

from index.checks import LARGEST, check_ids, check_rows, check_vectors, within_range
from index.errors import InvalidVectors
from tests.index.contract import ids_of


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, LARGEST * 1.01, -LARGEST * 1.01])
def test_a_number_that_a_half_cannot_hold_is_out_of_range(value: float) -> None:
    """One such number among good ones is enough, whatever its sign."""
    vectors = np.zeros((3, 4), np.float32)
    assert within_range(vectors)
    vectors[1, 2] = value
    assert not within_range(vectors)


def test_the_largest_halves_and_nothing_at_all_are_in_range() -> None:
    """The bound itself is good, and so is an array without numbers."""
    assert within_range(np.array([[LARGEST, -LARGEST]], np.float32))
    assert within_range(np.empty((0, 4), np.float32))


def test_of_equal_ids_the_last_row_is_kept() -> None:
    """Ids come back once each, with the vector that was given last."""
    ids, vectors = check_rows(ids_of(5, 2, 5), np.array([[1.0], [2.0], [3.0]], np.float32), 1)
    assert dict(zip(ids.tolist(), vectors[:, 0].tolist(), strict=True)) == {2: 2.0, 5: 3.0}


def test_vectors_come_back_contiguous() -> None:
    """A view with strides, which FAISS cannot read, is copied."""
    view = np.ones((4, 6), np.float32)[:, ::2]
    assert check_vectors("vectors", view, 3).flags.c_contiguous


def test_ids_are_one_row_of_int64() -> None:
    """Another shape is refused in words."""
    with pytest.raises(InvalidVectors, match="shape"):
        check_ids(np.zeros((2, 2), np.int64))
