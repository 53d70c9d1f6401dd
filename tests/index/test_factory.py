"""The index factory: an index of the requested width, exact while small, with codes when large."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import numpy as np
import pytest

from index.errors import InvalidVectors
from index.factory import IndexFactory
from tests.index.contract import ids_of, random_rows


def test_an_index_grows_from_exact_to_coded() -> None:
    """Searches say that they are exact up to the bound, and after it once there are codes."""
    with closing(IndexFactory(threads=1, exact_up_to=500)) as factory:
        lock = threading.Lock()
        index = factory.make(8, lock, expected_rows=1_000)
        query = random_rows(1, 8, 0)
        with lock:
            index.add(np.arange(500, dtype=np.int64), random_rows(500, 8, 1))
            assert index.search(query, 5).exact
            index.maintain()
        assert not index.busy
        with lock:
            index.add(np.arange(500, 1_000, dtype=np.int64), random_rows(500, 8, 2))
            assert index.search(query, 5).exact
        deadline = time.monotonic() + 120
        while index.busy:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert index.recall is not None
        with lock:
            assert index.search(query, 5).exact == (index.recall < 0.9)


def test_indexes_of_one_factory_share_nothing_but_their_upkeep() -> None:
    """A row of one is not found in the other, and each has the width it was made with."""
    with closing(IndexFactory(threads=1, exact_up_to=500)) as factory:
        one, other = (factory.make(dim, threading.Lock()) for dim in (4, 8))
        one.add(ids_of(1), random_rows(1, 4, 0))
        assert (one.dim, other.dim) == (4, 8)
        assert (len(one), len(other)) == (1, 0)


def test_an_index_needs_a_width() -> None:
    """A width of nothing is refused as by every index."""
    with (
        closing(IndexFactory(threads=1, exact_up_to=500)) as factory,
        pytest.raises(InvalidVectors, match="width"),
    ):
        factory.make(0, threading.Lock())
