"""Codes beside the searches: when they are made and measured, and what a search says of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from app.services.vectors.compression import MEASURED_BY, Coded, IndexCompressor
from index import FaissRabitqIndex, Vectors

DIM, ABOVE = 64, 1_000


def vectors_of(count: int, seed: int) -> Vectors:
    """Unit vectors in a quarter of the dimensions, as embeddings of one kind of footage are."""
    random = np.random.default_rng(seed)
    low = random.standard_normal((count, DIM // 4))
    vectors = low @ np.random.default_rng(98).standard_normal((DIM // 4, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def collection_of(count: int, seed: int = 0) -> Coded:
    coded = Coded(FaissRabitqIndex(DIM, exact_up_to=ABOVE), threading.Lock())
    grow(coded, count, seed)
    return coded


def grow(coded: Coded, count: int, seed: int) -> None:
    first = len(coded.index)
    with coded.lock:
        coded.index.add(np.arange(first, first + count, dtype=np.int64), vectors_of(count, seed))


def looked_after(coder: IndexCompressor, coded: Coded) -> None:
    """Have it done what is due, and wait."""
    with coded.lock:
        coder.look_after(coded)
    deadline = time.monotonic() + 60
    while coded.busy:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def coder() -> Iterator[IndexCompressor]:
    with closing(IndexCompressor(ABOVE)) as opened:
        yield opened


def test_only_a_large_index_gets_codes(coder: IndexCompressor) -> None:
    """At the size up to which searches are exact nothing is begun; one row more, and it is."""
    coded = collection_of(ABOVE)
    looked_after(coder, coded)
    assert coded.index.recall is None
    grow(coded, 1, 1)
    looked_after(coder, coded)
    assert coded.index.recall is not None
    assert not coded.index.search(vectors_of(1, 2), 5).exact


def test_says_the_recall_that_a_measurement_gives(coder: IndexCompressor) -> None:
    """By the queries that were asked: the mean share of an exact scan's rows that are found."""
    coded = collection_of(6_000)
    queries = vectors_of(MEASURED_BY, 3)
    coded.asked.extend(queries)
    looked_after(coder, coded)
    shares = [coded.index.measure(query[None], 200) for query in queries]
    assert coded.index.recall == pytest.approx(np.mean(shares))
    assert 0.9 < np.mean(shares) <= 1


def test_is_measured_again_by_queries_and_when_it_has_grown(coder: IndexCompressor) -> None:
    """First by rows; by what was asked once that is enough; then not before a fifth was added."""
    coded = collection_of(4_000)
    looked_after(coder, coded)
    assert not coded.measured_by_asked
    assert not coded.needs_measure()
    coded.asked.extend(vectors_of(MEASURED_BY, 3))
    looked_after(coder, coded)
    assert coded.measured_by_asked
    grow(coded, 800, 4)
    assert not coded.needs_measure()
    grow(coded, 1, 5)
    looked_after(coder, coded)
    assert coded.measured_rows == 4_801
    assert coded.coded_rows == 4_000


def test_codes_are_made_again_around_the_mean_of_twice_the_rows(coder: IndexCompressor) -> None:
    """A collection that has doubled may lie elsewhere than when its codes were made."""
    coded = collection_of(2_000)
    looked_after(coder, coded)
    grow(coded, 2_001, 1)
    looked_after(coder, coded)
    assert (coded.coded_rows, coded.measured_rows) == (4_001, 4_001)


def test_closing_leaves_off_at_once() -> None:
    """Half-made codes are dropped, and searches go on as they were."""
    coded, coder = collection_of(60_000), IndexCompressor(ABOVE)
    with coded.lock:
        coder.look_after(coded)
    coder.close()
    assert coded.index.recall is None
    assert coded.index.search(vectors_of(1, 2), 5).exact
    with coded.lock:
        coder.look_after(coded)
    assert not coded.busy
