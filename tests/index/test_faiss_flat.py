"""The FAISS backend keeps the contract, and the promises only it makes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from index import faiss_common
from index.faiss_common import faiss
from index.faiss_flat import FaissFlatIndex
from index.protocol import VectorIndex
from tests.index.contract import ExactIndexContract, ids_of, random_rows


class TestFaissFlatIndex(ExactIndexContract):
    def make(self, dim: int) -> VectorIndex:
        return FaissFlatIndex(dim)


class TestFaissFlatIndexWithSets(ExactIndexContract):
    """The same promises where no filter goes through a bitmap."""

    @pytest.fixture(autouse=True)
    def no_bitmaps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(faiss_common, "IDS_PER_BITMAP_BYTE", 0)

    def make(self, dim: int) -> VectorIndex:
        return FaissFlatIndex(dim)


@pytest.mark.parametrize("threads", [1, 2])
def test_uses_its_threads_and_leaves_the_callers_setting(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call runs under the cap, and the calling thread has its own setting back after."""
    index = FaissFlatIndex(4, threads=threads)
    faiss.omp_set_num_threads(3)
    threads_set: list[int] = []
    really_set = faiss.omp_set_num_threads

    def set_and_note(count: int) -> None:
        threads_set.append(count)
        really_set(count)

    monkeypatch.setattr(faiss, "omp_set_num_threads", set_and_note)
    index.add(ids_of(1), random_rows(1, 4, 0))
    index.search(random_rows(1, 4, 0), 1)
    index.remove(ids_of(1))
    assert [threads, 3] * 3 == threads_set
    assert faiss.omp_get_max_threads() == 3
    really_set(1)


def test_room_is_taken_once_and_loses_nothing() -> None:
    """Rows that were there stay as they are; those that come are put where they then remain."""
    index, rows, ids = FaissFlatIndex(8), random_rows(5_000, 8, 1), ids_of(*range(5_000))
    index.add(ids[:1_000], rows[:1_000])
    before = index.vectors(ids[:1_000])
    index.reserve(5_000)
    first_row = address(index)
    for start in range(1_000, 5_000, 500):
        index.add(ids[start : start + 500], rows[start : start + 500])
    assert address(index) == first_row
    index.reserve(10)
    assert len(index) == 5_000
    assert np.array_equal(index.vectors(ids[:1_000]), before)
    assert np.array_equal(index.vectors(ids), rows.astype(np.float16).astype(np.float32))


def address(index: FaissFlatIndex) -> int:
    """Where the first row lies in memory."""
    return int(index._rows.codes.data().__int__())


def test_searches_may_run_beside_each_other() -> None:
    """Filtered searches from many threads give what one thread gives."""
    index = FaissFlatIndex(16)
    index.add(np.arange(3000, dtype=np.int64), random_rows(3000, 16, 0))
    queries = [random_rows(1, 16, seed) for seed in range(40)]
    allowed = [np.arange(seed, 3000, seed + 1, dtype=np.int64) for seed in range(40)]
    one = [index.search(*pair) for pair in zip(queries, [20] * 40, allowed, strict=True)]
    with ThreadPoolExecutor(8) as pool:
        many = list(pool.map(index.search, queries, [20] * 40, allowed))
    assert [hits.ids.tolist() for hits in one] == [hits.ids.tolist() for hits in many]


def test_storing_tensors_does_not_load_faiss() -> None:
    """FAISS and its OpenMP runtime come with `FaissFlatIndex`, not with the package."""
    code = (
        "import sys, index; assert 'faiss' not in sys.modules;"
        "from index import FaissFlatIndex; assert 'faiss' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
