"""Upkeep in the background: when codes are made and measured, and what a search says of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from index.faiss_rabitq import FaissRabitqIndex
from index.maintenance import MEASURED_QUERIES, IndexMaintenance, MaintainedIndex
from index.protocol import VectorIndex, Vectors
from tests.index.contract import ExactIndexContract

DIM, ABOVE = 64, 1_000


def vectors_of(count: int, seed: int) -> Vectors:
    """Unit vectors in a quarter of the dimensions, as embeddings of one kind of footage are."""
    random = np.random.default_rng(seed)
    low = random.standard_normal((count, DIM // 4))
    vectors = low @ np.random.default_rng(98).standard_normal((DIM // 4, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def maintained_by(maintenance: IndexMaintenance, count: int, seed: int = 0) -> MaintainedIndex:
    index = FaissRabitqIndex(DIM, exact_up_to=ABOVE)
    maintained = MaintainedIndex(index, threading.Lock(), maintenance)
    grow(maintained, count, seed)
    return maintained


def grow(maintained: MaintainedIndex, count: int, seed: int) -> None:
    first = len(maintained)
    with maintained.lock:
        maintained.add(np.arange(first, first + count, dtype=np.int64), vectors_of(count, seed))


def keep_up(maintained: MaintainedIndex) -> None:
    """Begin what is due, and wait until it is done."""
    with maintained.lock:
        maintained.maintain()
    deadline = time.monotonic() + 120
    while maintained.busy:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def maintenance() -> Iterator[IndexMaintenance]:
    with closing(IndexMaintenance(ABOVE)) as opened:
        yield opened


class TestMaintainedIndex(ExactIndexContract):
    """As long as it is small, it is searched as exactly as any other index."""

    @pytest.fixture(autouse=True)
    def _maintained(self, maintenance: IndexMaintenance) -> None:
        self.maintenance = maintenance

    def make(self, dim: int) -> VectorIndex:
        index = FaissRabitqIndex(dim, exact_up_to=ABOVE)
        return MaintainedIndex(index, threading.Lock(), self.maintenance)


def test_only_a_large_index_gets_codes(maintenance: IndexMaintenance) -> None:
    """At the size up to which searches are exact nothing is begun; one row more, and it is."""
    maintained = maintained_by(maintenance, ABOVE)
    keep_up(maintained)
    assert maintained.recall is None
    grow(maintained, 1, 1)
    keep_up(maintained)
    assert maintained.recall is not None
    assert not maintained.search(vectors_of(1, 2), 5).exact


def test_says_the_recall_that_a_measurement_gives(maintenance: IndexMaintenance) -> None:
    """By the queries so far: the mean share of an exact scan's rows that are found."""
    maintained = maintained_by(maintenance, 6_000)
    queries = vectors_of(MEASURED_QUERIES, 3)
    maintained.recent_queries.extend(queries)
    keep_up(maintained)
    shares = [maintained.index.measure(query[None], 200) for query in queries]
    assert maintained.recall == pytest.approx(np.mean(shares))
    assert 0.9 < np.mean(shares) <= 1


def test_is_measured_again_by_queries_and_when_it_has_grown(maintenance: IndexMaintenance) -> None:
    """First by rows; by the queries once there are enough; then not before a fifth was added."""
    maintained = maintained_by(maintenance, 4_000)
    keep_up(maintained)
    assert not maintained.measured_by_queries
    assert not maintained.needs_measuring()
    maintained.recent_queries.extend(vectors_of(MEASURED_QUERIES, 3))
    keep_up(maintained)
    assert maintained.measured_by_queries
    grow(maintained, 800, 4)
    assert not maintained.needs_measuring()
    grow(maintained, 1, 5)
    keep_up(maintained)
    assert maintained.measured_rows == 4_801
    assert maintained.coded_rows == 4_000


def test_codes_are_made_again_around_the_mean_of_twice_the_rows(
    maintenance: IndexMaintenance,
) -> None:
    """A collection that has doubled may lie elsewhere than when its codes were made."""
    maintained = maintained_by(maintenance, 2_000)
    keep_up(maintained)
    grow(maintained, 2_001, 1)
    keep_up(maintained)
    assert (maintained.coded_rows, maintained.measured_rows) == (4_001, 4_001)


def test_closing_leaves_off_at_once() -> None:
    """Half-made codes are dropped, and searches stay exact."""
    maintenance = IndexMaintenance(ABOVE)
    maintained = maintained_by(maintenance, 60_000)
    with maintained.lock:
        maintained.maintain()
    maintenance.close()
    assert maintained.recall is None
    assert maintained.search(vectors_of(1, 2), 5).exact
    with maintained.lock:
        maintained.maintain()
    assert not maintained.busy
