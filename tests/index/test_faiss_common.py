"""Row filters and the order of hits, against sets and a plain sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.faiss_common import IDS_PER_BITMAP_BYTE, in_order, narrowed_to, no_hits
from index.faiss_flat import FaissFlatIndex
from tests.index.contract import ids_of

LARGEST = 10 * IDS_PER_BITMAP_BYTE


def selected(allowed: list[int], largest: int, ids: list[int]) -> list[int]:
    """Which of the ids a search under the filter may see."""
    with narrowed_to(ids_of(*allowed), largest) as parameters:
        return [id_ for id_ in ids if parameters.sel.is_member(id_)]


@given(
    allowed=st.lists(st.integers(0, LARGEST + 20), max_size=30),
    ids=st.sets(st.integers(0, LARGEST), max_size=30),
)
def test_a_filter_lets_through_the_ids_that_are_allowed(allowed: list[int], ids: set[int]) -> None:
    """As a set of ids or as a bitmap; ids beyond the largest are passed over, doubles count once"""
    asked = sorted(ids | {id_ for id_ in allowed if id_ <= LARGEST})
    assert selected(allowed, LARGEST, asked) == [id_ for id_ in asked if id_ in allowed]


@pytest.mark.parametrize("largest", [0, 7, 8, 9])
def test_a_bitmap_reaches_to_its_last_bit(largest: int) -> None:
    """Also where the largest id begins a byte of its own."""
    everything = list(range(largest + 1))
    assert selected(everything, largest, everything) == everything
    assert selected([largest], largest, everything) == [largest]


def test_no_filter_is_no_parameters() -> None:
    """FAISS then looks at every row without asking for each."""
    with narrowed_to(None, 5) as parameters:
        assert parameters is None


@given(
    rows=st.lists(st.integers(-2, 2).map(float), max_size=8),
    k=st.integers(1, 10),
    filling=st.integers(0, 3),
    order=st.randoms(use_true_random=False),
)
def test_hits_are_by_score_and_then_by_id(
    rows: list[float], k: int, filling: int, order: object
) -> None:
    """However FAISS returned them, without what it filled up with, and no more than asked for."""
    pairs = [*enumerate(rows), *[(-1, -np.inf)] * filling]
    order.shuffle(pairs)  # type: ignore[attr-defined]
    if not pairs:
        return
    ids = np.array([[id_ for id_, _ in pairs]], np.int64)
    scores = np.array([[score for _, score in pairs]], np.float32)
    hits = in_order(scores, ids, k)
    expected = sorted(enumerate(rows), key=lambda pair: (-pair[1], pair[0]))[:k]
    assert hits.ids.tolist() == [[id_ for id_, _ in expected]]
    assert hits.scores.tolist() == [[score for _, score in expected]]


def test_no_hits_have_a_row_for_each_query() -> None:
    """So that callers may read them like any others."""
    hits = no_hits(3)
    assert (hits.ids.shape, hits.scores.shape) == ((3, 0), (3, 0))
    assert (hits.ids.dtype, hits.scores.dtype, hits.exact) == (np.int64, np.float32, True)


@pytest.mark.parametrize("equal", [2, 3, 7, 8, 9, 33])
@pytest.mark.parametrize("k", [1, 2, 8])
def test_ties_at_the_cut_go_to_the_lowest_ids(equal: int, k: int) -> None:
    """Just as many equal rows as are asked for, one more, and far more than one look takes."""
    index = FaissFlatIndex(1)
    ids = np.arange(equal, dtype=np.int64)[::-1].copy()
    index.add(ids, np.ones((equal, 1), np.float32))
    index.add(ids_of(100, 101), np.array([[2], [0]], np.float32))
    hits = index.search(np.ones((1, 1), np.float32), k)
    assert hits.ids.tolist() == [[100, *range(equal), 101][:k]]
    allowed = ids_of(*range(1, equal), 101)
    narrowed = index.search(np.ones((1, 1), np.float32), k, allowed)
    assert narrowed.ids.tolist() == [[*range(1, equal), 101][:k]]
