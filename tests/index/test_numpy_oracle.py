"""The oracle keeps the contract too, and is checked by hand once."""

from __future__ import annotations

import numpy as np

from index.numpy_oracle import ExactIndex
from index.protocol import VectorIndex
from tests.index.contract import ExactIndexContract, ids_of


class TestExactIndex(ExactIndexContract):
    def make(self, dim: int) -> VectorIndex:
        return ExactIndex(dim)

    def test_scores_are_inner_products_of_rounded_rows(self) -> None:
        """A row is rounded to half precision, the query is not."""
        index = ExactIndex(2)
        index.add(ids_of(4, 8), np.array([[0.1, 0], [0, 3]], np.float32))
        hits = index.search(np.array([[1.1, 0.5]], np.float32), 2)
        expected = np.array([[1.5, np.float32(1.1) * np.float32(np.float16(0.1))]])
        assert hits.ids.tolist() == [[8, 4]]
        np.testing.assert_allclose(expected, hits.scores, rtol=1e-6)
