"""What every vector backend promises. To test one, subclass and override `make`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from index.errors import InvalidVectors
from index.numpy_oracle import ExactIndex
from index.protocol import Ids, VectorIndex, Vectors

DIM = 5
# Small whole numbers: their products are exact, so equal scores are equal in every backend.
whole_vectors = st.lists(st.integers(-2, 2), min_size=DIM, max_size=DIM)
row_ids = st.integers(0, 40)


def ids_of(*values: int) -> Ids:
    return np.array(values, dtype=np.int64)


def rows_of(values: list[list[int]]) -> Vectors:
    return np.array(values, dtype=np.float32).reshape(len(values), DIM)


def random_rows(count: int, dim: int, seed: int) -> Vectors:
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


class BesideTheOracle(RuleBasedStateMachine):
    """Any sequence of adds and removes, after each of which every search must agree."""

    make: Callable[[int], VectorIndex]

    def __init__(self) -> None:
        super().__init__()
        self.index = type(self).make(DIM)
        self.oracle = ExactIndex(DIM)

    @rule(rows=st.lists(st.tuples(row_ids, whole_vectors), max_size=8))
    def add(self, rows: list[tuple[int, list[int]]]) -> None:
        ids, vectors = ids_of(*(id_ for id_, _ in rows)), rows_of([row for _, row in rows])
        self.index.add(ids, vectors)
        self.oracle.add(ids, vectors)

    @rule(ids=st.lists(row_ids, max_size=8))
    def remove(self, ids: list[int]) -> None:
        assert self.oracle.remove(ids_of(*ids)) == self.index.remove(ids_of(*ids))

    @rule(
        queries=st.lists(whole_vectors, min_size=1, max_size=3),
        k=st.integers(1, 12),
        allowed=st.none() | st.lists(st.integers(0, 60), max_size=20),
    )
    def search(self, queries: list[list[int]], k: int, allowed: list[int] | None) -> None:
        narrowed = None if allowed is None else ids_of(*allowed)
        expected = self.oracle.search(rows_of(queries), k, narrowed)
        actual = self.index.search(rows_of(queries), k, narrowed)
        np.testing.assert_array_equal(expected.ids, actual.ids)
        np.testing.assert_array_equal(expected.scores, actual.scores)

    @invariant()
    def same_length(self) -> None:
        assert len(self.oracle) == len(self.index)


class VectorIndexContract:
    """The promises of `VectorIndex`, whatever implements it."""

    def make(self, dim: int) -> VectorIndex:
        raise NotImplementedError

    def filled(self, vectors: Vectors) -> VectorIndex:
        index = self.make(vectors.shape[1])
        index.add(np.arange(len(vectors), dtype=np.int64), vectors)
        return index

    def test_agrees_with_the_oracle_after_any_history(self) -> None:
        """Adds, replacements, removals and filtered searches give what NumPy gives."""
        machine = type("Machine", (BesideTheOracle,), {"make": staticmethod(self.make)})
        run_state_machine_as_test(
            machine, settings=settings(max_examples=40, stateful_step_count=15, deadline=None)
        )

    def test_a_filter_applies_before_the_best_are_chosen(self) -> None:
        """Allowed rows are found although a hundred forbidden ones score higher."""
        vectors = np.linspace(1, 0, 200, dtype=np.float32)[:, None] * np.ones((1, DIM), np.float32)
        hits = self.filled(vectors).search(np.ones((1, DIM), np.float32), 3, ids_of(150, 199, 160))
        assert hits.ids.tolist() == [[150, 160, 199]]

    def test_never_gives_fewer_than_there_are(self) -> None:
        """K is the smaller of k and the eligible rows; ids that do not exist count for nothing."""
        index = self.filled(random_rows(10, DIM, 0))
        queries = random_rows(2, DIM, 1)
        assert index.search(queries, 99).ids.shape == (2, 10)
        assert index.search(queries, 99, ids_of(3, 4, 3, 77, 10**12)).ids.shape == (2, 2)
        assert index.search(queries, 99, ids_of()).scores.shape == (2, 0)
        assert self.make(DIM).search(queries, 5).ids.shape == (2, 0)
        assert len(index.search(queries[:0], 5).ids) == 0

    def test_the_last_of_equal_ids_counts(self) -> None:
        """A row added twice, in one call or two, is there once, as it was added last."""
        index = self.make(1)
        index.add(ids_of(7, 7, 3), np.array([[1], [2], [5]], np.float32))
        assert len(index) == 2
        index.add(ids_of(3, 9), np.array([[1], [0]], np.float32))
        hits = index.search(np.ones((1, 1), np.float32), 9)
        assert hits.ids.tolist() == [[7, 3, 9]]
        assert hits.scores.tolist() == [[2, 1, 0]]

    def test_a_removed_row_never_shows(self) -> None:
        """A removed row is gone at once, and unknown ids are passed over."""
        index = self.filled(random_rows(50, DIM, 0))
        assert index.remove(ids_of(5, 6, 6, 1000)) == 2
        assert index.remove(ids_of(5)) == 0
        assert index.remove(ids_of()) == 0
        hits = index.search(random_rows(1, DIM, 1), 50)
        assert sorted(set(range(50)) - {5, 6}) == sorted(hits.ids[0].tolist())

    def test_ids_may_be_large(self) -> None:
        """Ids are 64-bit, with or without a filter on them."""
        index, large = self.make(1), 2**40
        index.add(ids_of(large, 1), np.array([[2], [1]], np.float32))
        queries = np.ones((1, 1), np.float32)
        assert [[large, 1]] == index.search(queries, 5).ids.tolist()
        assert [[large]] == index.search(queries, 5, ids_of(large)).ids.tolist()

    @pytest.mark.parametrize(
        ("ids", "vectors", "says"),
        [
            (ids_of(1), np.ones((1, DIM + 1), np.float32), "vectors must be float32"),
            (ids_of(1), np.ones((1, DIM), np.float64), "float64"),
            (ids_of(1), np.ones(DIM, np.float32), "vectors must be float32"),
            (ids_of(1, 2), np.ones((1, DIM), np.float32), "2 ids do not fit 1 vectors"),
            (ids_of(-1), np.ones((1, DIM), np.float32), "negative"),
            (np.array([1], np.int32), np.ones((1, DIM), np.float32), "int32"),
            (ids_of(1), np.full((1, DIM), np.nan, np.float32), "finite"),
            (ids_of(1), np.full((1, DIM), 1e5, np.float32), "finite and within"),
        ],
    )
    def test_refuses_what_it_could_not_find_again(
        self, ids: Ids, vectors: Vectors, says: str
    ) -> None:
        """Wrong shapes, dtypes and values are refused in words and change nothing."""
        index = self.filled(random_rows(3, DIM, 0))
        with pytest.raises(InvalidVectors, match=says):
            index.add(ids, vectors)
        assert len(index) == 3

    def test_refuses_impossible_searches(self) -> None:
        """k below 1, NaN queries, queries of another width, and an index without width."""
        index = self.filled(random_rows(3, DIM, 0))
        good = random_rows(1, DIM, 0)
        with pytest.raises(InvalidVectors, match="k must be"):
            index.search(good, 0)
        with pytest.raises(InvalidVectors, match="queries must be finite"):
            index.search(good * np.float32("nan"), 1)
        with pytest.raises(InvalidVectors, match="queries must be float32"):
            index.search(good[:, :2], 1)
        with pytest.raises(InvalidVectors, match="ids must be int64"):
            index.search(good, 1, np.array([0.5]))
        with pytest.raises(InvalidVectors, match="width"):
            self.make(0)

    def test_says_its_width(self) -> None:
        """`dim` is what the index was made with."""
        assert self.make(DIM).dim == DIM


class ExactIndexContract(VectorIndexContract):
    """What a backend promises besides whose searches look at every row."""

    def test_real_vectors_rank_as_in_the_oracle(self) -> None:
        """On real numbers scores agree within rounding, for any share of allowed rows."""

        @given(
            count=st.integers(1, 300),
            dim=st.sampled_from([1, 3, 8, 33, 128]),
            k=st.integers(1, 40),
            share=st.floats(0, 1),
            seed=st.integers(0, 2**31),
        )
        @settings(max_examples=40, deadline=None)
        def agrees(count: int, dim: int, k: int, share: float, seed: int) -> None:
            vectors, queries = random_rows(count, dim, seed), random_rows(3, dim, seed + 1)
            index, oracle = self.filled(vectors), ExactIndex(dim)
            oracle.add(np.arange(count, dtype=np.int64), vectors)
            chance = np.random.default_rng(seed + 2).random(count)
            allowed = np.flatnonzero(chance <= share).astype(np.int64)
            expected, actual = (each.search(queries, k, allowed) for each in (oracle, index))
            np.testing.assert_allclose(expected.scores, actual.scores, rtol=1e-4, atol=1e-4)
            assert np.isin(actual.ids, allowed).all()
            assert all(len(set(row)) == len(row) for row in actual.ids.tolist())

        agrees()

    def test_equal_scores_are_cut_by_id(self) -> None:
        """Of many equal rows the lowest ids are taken, in order, whatever the order of adding."""
        index = self.make(DIM)
        ids = np.random.default_rng(0).permutation(500).astype(np.int64)
        index.add(ids, np.ones((500, DIM), np.float32))
        index.add(ids_of(900), np.full((1, DIM), 2, np.float32))
        hits = index.search(np.ones((1, DIM), np.float32), 4)
        assert hits.ids.tolist() == [[900, 0, 1, 2]]
