"""The coded backend keeps the contract, and says so where it recalls instead of scoring all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import faiss_rabitq
from index.faiss_rabitq import FaissRabitqIndex
from index.numpy_oracle import ExactIndex
from index.protocol import Ids, VectorIndex, Vectors
from tests.index.contract import (
    ExactIndexContract,
    VectorIndexContract,
    ids_of,
    random_rows,
)


class CodedAtOnce(FaissRabitqIndex):
    """Has codes from the start, although there is nothing yet to make them of."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, exact_up_to=0)
        coded(self)


class TestFaissRabitqIndex(ExactIndexContract):
    def make(self, dim: int) -> VectorIndex:
        return FaissRabitqIndex(dim, exact_up_to=20)


class TestFaissRabitqIndexWithCodes(VectorIndexContract):
    """What holds for every backend also holds where codes propose the rows."""

    def make(self, dim: int) -> VectorIndex:
        return CodedAtOnce(dim)


def coded(index: FaissRabitqIndex, recall: float = 1.0) -> FaissRabitqIndex:
    for _ in index.coding(threading.Lock()):
        pass
    index.trust(recall)
    return index


def clustered(count: int, dim: int, seed: int) -> Vectors:
    """Unit vectors around 50 centres in a few dimensions, much as embeddings are."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((50, dim // 4))
    spread = random.standard_normal((count, dim // 4))
    low = centres[random.integers(0, 50, count)] + 0.7 * spread
    vectors = low @ np.random.default_rng(98).standard_normal((dim // 4, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def filled(count: int, dim: int = 64, *, exact_up_to: int = 0) -> FaissRabitqIndex:
    index = FaissRabitqIndex(dim, exact_up_to=exact_up_to)
    index.add(np.arange(count, dtype=np.int64), clustered(count, dim, 0))
    return index


def oracle_of(vectors: Vectors, ids: Ids | None = None) -> ExactIndex:
    oracle = ExactIndex(vectors.shape[1])
    oracle.add(np.arange(len(vectors), dtype=np.int64) if ids is None else ids, vectors)
    return oracle


QUERIES = clustered(20, 64, 1)


@pytest.mark.parametrize("k", [1, 10, 50])
@pytest.mark.parametrize("share", [None, 0.9, 0.5])
def test_finds_nearly_all_that_an_exact_scan_finds(k: int, share: float | None) -> None:
    """Of 5,000 rows, with a filter or without, and every score is the row's own."""
    allowed = None
    if share is not None:
        chance = np.random.default_rng(3).random(5_000)
        allowed = np.flatnonzero(chance < share).astype(np.int64)
    hits = coded(filled(5_000)).search(QUERIES, k, allowed)
    oracle = oracle_of(clustered(5_000, 64, 0))
    expected = oracle.search(QUERIES, k, allowed)
    assert not hits.exact
    assert expected.ids.shape == hits.ids.shape
    assert (
        np.mean([len({*a} & {*b}) / k for a, b in zip(expected.ids, hits.ids, strict=True)]) > 0.98
    )
    for query, ids, scores in zip(QUERIES, hits.ids, hits.scores, strict=True):
        own = oracle.search(query[None], k, ids)
        assert own.ids[0].tolist() == ids.tolist()
        np.testing.assert_allclose(own.scores[0], scores, atol=1e-5)


def test_a_filter_narrows_before_rows_are_proposed() -> None:
    """Only allowed rows, as many as there are, equal to the exact ones where few are allowed."""
    vectors = clustered(3_000, 64, 0)
    index, oracle = coded(filled(3_000)), oracle_of(vectors)

    @given(
        allowed=st.lists(st.integers(0, 3_200), max_size=400),
        more=st.sampled_from([0, 1_500, 2_900]),
        k=st.integers(1, 600),
    )
    @settings(max_examples=60, deadline=None)
    def narrows(allowed: list[int], more: int, k: int) -> None:
        narrowed = np.array([*allowed, *range(more)], np.int64)
        there = {id_ for id_ in narrowed.tolist() if id_ < 3_000}
        hits = index.search(QUERIES[:2], k, narrowed)
        assert hits.ids.shape == (2, min(k, len(there)))
        assert all({*row} <= there and len({*row}) == len(row) for row in hits.ids.tolist())
        if hits.exact:
            expected = oracle.search(QUERIES[:2], k, narrowed)
            np.testing.assert_allclose(expected.scores, hits.scores, atol=1e-5)
        else:
            assert len(there) > max(4 * k, 100)

    narrows()


def test_is_exact_until_it_is_told_what_its_codes_recall() -> None:
    """No codes, codes that were not measured, and codes that recall too little are not used."""
    index = filled(2_000)
    expected = oracle_of(clustered(2_000, 64, 0)).search(QUERIES, 5)
    for prepare in (
        lambda: None,
        lambda: [*index.coding(threading.Lock())],
        lambda: index.trust(0.8),
    ):
        prepare()
        hits = index.search(QUERIES, 5)
        assert hits.exact
        assert expected.ids.tolist() == hits.ids.tolist()
    index.trust(0.95)
    assert not index.search(QUERIES, 5).exact


def test_is_exact_where_that_is_quick() -> None:
    """Up to `exact_up_to` eligible rows: of the whole, or after a filter."""
    index = coded(filled(2_000, exact_up_to=1_500))
    assert not index.search(QUERIES, 5).exact
    assert not index.search(QUERIES, 5, np.arange(1_600, dtype=np.int64)).exact
    assert index.search(QUERIES, 5, np.arange(1_500, dtype=np.int64)).exact
    index.remove(np.arange(500, dtype=np.int64))
    assert index.search(QUERIES, 5).exact


def test_measures_its_recall_against_an_exact_scan() -> None:
    """The share of the best rows that are found; a row that scores as well is one of them."""
    index = filled(4_000)
    assert index.measure(QUERIES, 50) == 1.0
    coded(index)
    expected = oracle_of(clustered(4_000, 64, 0)).search(QUERIES, 50).ids
    found = index.search(QUERIES, 50).ids
    share = np.mean([len({*a} & {*b}) / 50 for a, b in zip(expected, found, strict=True)])
    assert index.measure(QUERIES, 50) == pytest.approx(share)
    same = coded(FaissRabitqIndex(64, exact_up_to=0))
    same.add(np.arange(2_000, dtype=np.int64), np.repeat(QUERIES[:1], 2_000, axis=0))
    assert same.measure(QUERIES[:1], 50) == 1.0


@pytest.mark.parametrize("missed_at_once", [10, 1_000])
def test_codes_made_beside_changes_miss_none_of_them(
    missed_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows added, replaced and removed while codes are made are as in an index made afterwards."""
    monkeypatch.setattr(faiss_rabitq, "CODED_AT_ONCE", 100)
    vectors, other = clustered(1_000, 64, 0), clustered(5_000, 64, 7)
    index, oracle = filled(1_000), oracle_of(vectors)
    random = np.random.default_rng(0)
    for number, _ in enumerate(index.coding(threading.Lock())):
        if number == 9 and missed_at_once == 1_000:  # more than is made up for while all wait
            added = np.arange(5_000, 6_000, dtype=np.int64)
        elif number < 9:
            added = random.integers(0, 1_300, missed_at_once % 100).astype(np.int64)
        else:
            continue
        gone = random.integers(0, 1_300, 10).astype(np.int64)
        for each in (index, oracle):
            each.add(added, other[: len(added)])
            each.remove(gone)
    index.trust(1.0)
    k = len(index) // 5
    hits, expected = index.search(QUERIES, k), oracle.search(QUERIES, k)
    assert len(oracle) == len(index)
    assert not hits.exact
    assert (
        np.mean([len({*a} & {*b}) / k for a, b in zip(expected.ids, hits.ids, strict=True)]) > 0.98
    )
    assert sorted(index._codes._index.id_map.at(i) for i in range(len(index))) == sorted(
        oracle.search(QUERIES[:1], len(oracle)).ids[0].tolist()
    )


def test_coding_may_be_left_off_and_begun_again() -> None:
    """What was half made is dropped; the codes in use stay in use, and up to date."""
    index = coded(filled(5_000))
    steps = index.coding(threading.Lock())
    next(steps)
    steps.close()
    index.add(ids_of(9_000), QUERIES[:1])
    hits = index.search(QUERIES[:1], 3)
    assert hits.ids[0, 0] == 9_000
    assert not hits.exact
    assert (
        index.search(QUERIES[:1], 3).ids.tolist()
        == coded(index).search(QUERIES[:1], 3).ids.tolist()
    )


def test_searches_and_changes_go_on_while_codes_are_made() -> None:
    """Under the owner's lock every search finds the row that was added right before."""
    index, lock = filled(20_000), threading.Lock()

    def code() -> None:
        for _ in index.coding(lock):
            pass
        with lock:
            index.trust(1.0)

    with ThreadPoolExecutor(1) as pool:
        coding = pool.submit(code)
        number = 30_000
        while not coding.done() or number < 30_050:
            with lock:
                index.add(ids_of(number), QUERIES[:1] * 2)
                assert number in index.search(QUERIES[:1], 200_000).ids[0]
                index.remove(ids_of(number))
                assert number not in index.search(QUERIES[:1], 10).ids[0]
            number += 1
        coding.result()
    assert not index.search(QUERIES, 10).exact


def test_rows_all_alike_are_found_in_full() -> None:
    """Where a row is what codes are relative to, nothing is left to tell it by."""
    index = FaissRabitqIndex(8, exact_up_to=0)
    index.add(np.arange(2_000, dtype=np.int64), np.ones((2_000, 8), np.float32))
    hits = coded(index).search(np.ones((1, 8), np.float32), 10)
    assert len({*hits.ids[0].tolist()}) == 10
    assert hits.scores.tolist() == [[8.0] * 10]


def test_zero_and_huge_rows_do_not_harm_the_others() -> None:
    """The largest numbers a half can hold, and none at all."""
    index = filled(2_000)
    index.add(
        ids_of(5_000, 5_001), np.stack([np.zeros(64), np.full(64, 65_504)]).astype(np.float32)
    )
    coded(index)
    assert index.search(np.ones((1, 64), np.float32), 1).ids.tolist() == [[5_001]]
    assert index.search(QUERIES, 20).ids.shape == (20, 20)
    assert np.isfinite(index.search(random_rows(3, 64, 0), 20).scores).all()
