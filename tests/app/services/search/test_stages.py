"""Stages of a search as functions of their own: what each takes, leaves out and counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.filters import parse_filter
from app.catalog.records import Collection
from app.errors import ModelMismatch
from app.services.search.moments import single
from app.services.search.query import (
    COSINE,
    ClipQuery,
    MomentQuery,
    SequenceQuery,
    SimilarSegmentQuery,
    TextQuery,
)
from app.services.search.rerank import Ranking
from app.services.search.search import (
    _digest,
    _direction,
    _grouped,
    _is_exact,
    _pinned,
    _Scope,
    _state,
    _without,
    require_model,
)
from app.services.vectors.port import Recall
from tests.app.catalog.sql.rows import NOW
from tests.app.services.search.test_moments import ranked

COLLECTION = Collection("col_1", "default", "m", "f00d", 4, 5.0, 2.5, {}, 7, NOW)


def recall_of(rows: list[int], *, eligible: int = 100, measured: float | None = None) -> Recall:
    """A recall of these rows, the first of which scores highest."""
    scores = np.linspace(1, 0, len(rows), dtype=np.float32)
    found = np.array(rows, np.int64)
    return Recall(found, scores, 1_000, eligible, 7, 900, measured=measured)


@given(videos=st.lists(st.integers(0, 3), max_size=12), most=st.none() | st.integers(1, 4))
def test_groups_are_the_best_of_each_video(videos: list[int], most: int | None) -> None:
    """In the order of each video's best, at most so many of one; without a bound all singly."""
    moments = single([ranked(f"v{v}", at, at, at + 1, -at) for at, v in enumerate(videos)])
    found = [
        [moment.best.found.segment.row for moment in entry] for entry in _grouped(moments, most)
    ]
    if most is None:
        assert found == [[at] for at in range(len(videos))]
        return
    first_seen = list(dict.fromkeys(videos))
    expected = [[at for at, v in enumerate(videos) if v == video][:most] for video in first_seen]
    assert found == expected


@given(
    rows=st.lists(st.integers(0, 9), unique=True, max_size=8),
    own=st.integers(0, 9),
    count=st.integers(1, 9),
)
def test_a_segment_is_taken_out_of_its_own_recall(rows: list[int], own: int, count: int) -> None:
    """The others keep their scores and their order; one less is eligible if it was among them."""
    before = recall_of(rows)
    after = _without(before, own, count)
    score = dict(zip(rows, before.scores.tolist(), strict=True))
    expected = [row for row in rows if row != own][:count]
    assert after.rows.tolist() == expected
    assert after.scores.tolist() == [score[row] for row in expected]
    assert after.eligible == before.eligible - (own in rows)
    assert (after.total, after.sequence, after.last_row) == (1_000, 7, 900)


@pytest.mark.parametrize(("last_row", "expected"), [(None, 900), (0, 0), (899, 899), (901, 901)])
def test_a_recall_is_pinned_to_the_rows_of_its_first_page(
    last_row: int | None, expected: int
) -> None:
    """Where the search has a bound it is the recall's; row 0 is a bound like any other."""
    pinned = _pinned(recall_of([1]), _Scope(None, last_row), None)
    assert (pinned.last_row, pinned.sequence) == (expected, 7)


@pytest.mark.parametrize(
    ("kind", "measured", "scored", "eligible", "exact"),
    [
        (COSINE, None, 5, 100, True),
        (COSINE, 0.99, 5, 100, False),
        (COSINE, 0.99, 100, 100, True),
        ("xclip_logit", None, 99, 100, False),
        ("xclip_logit", None, 100, 100, True),
        ("xclip_logit", 0.99, 100, 100, True),
        ("xclip_logit", None, 0, 0, True),
    ],
)
def test_an_answer_is_exact_if_nothing_higher_was_left_out(
    kind: str, measured: float | None, scored: int, eligible: int, exact: bool
) -> None:
    """All cosines were compared, or all that may be found was scored: not one less."""
    recall = recall_of([], eligible=eligible, measured=measured)
    assert _is_exact(Ranking(kind, scored=scored), recall) == exact


QUERIES = [
    MomentQuery(probe, **choices)
    for probe in (
        TextQuery("red"),
        TextQuery("Red"),
        TextQuery("red", negative=""),
        TextQuery("red", negative="blue"),
        TextQuery(""),
        SimilarSegmentQuery("red"),
        SequenceQuery(("red", "blue"), 1),
        SequenceQuery(("blue", "red"), 1),
        SequenceQuery(("red", "blue"), 2),
        ClipQuery(Path("a"), "ab"),
        ClipQuery(Path("a"), "cd"),
    )
    for choices in (
        {},
        {"top_k": 11},
        {"min_confidence": 0.0},
        {"min_confidence": 0.5},
        {"max_per_video": 1},
        {"merge": True},
        {"condition": parse_filter({"a": 1})},
        {"condition": parse_filter({"a": "1"})},
        {"condition": parse_filter({"a": True})},
    )
]


def test_every_other_query_has_another_digest() -> None:
    """Probe, bounds, filter and size of the page: a cursor of one is of no use to another."""
    assert len({_digest(query) for query in QUERIES}) == len(QUERIES)


def test_a_query_is_known_again_where_nothing_of_it_has_changed() -> None:
    """Its cursor is no part of it, nor is the name under which a clip was received."""
    for query in QUERIES:
        assert _digest(replace(query, cursor="some")) == _digest(query)
    first, second = (MomentQuery(ClipQuery(Path(name), "ab")) for name in ("one", "two"))
    assert _digest(first) == _digest(second)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"sequence": 8}, True),
        ({"metadata": {"a": 1}}, True),
        ({"id": "col_2"}, False),
        ({"fingerprint": "beef"}, False),
        ({"calibration": "c"}, False),
    ],
    ids=str,
)
def test_cursors_hold_as_long_as_scores_do(change: dict[str, Any], same: bool) -> None:
    """New videos change no score; another model, calibration or collection of the name does."""
    assert (_state(replace(COLLECTION, **change), 5) == _state(COLLECTION, 5)) == same
    assert _state(COLLECTION, 5) != _state(COLLECTION, 6)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=5))
def test_a_direction_has_length_one(values: list[float]) -> None:
    """It points where the embedding does; one without any length is nowhere, but no NaN."""
    embedding = np.array(values, np.float32)
    direction = _direction(embedding)
    assert np.isfinite(direction).all()
    length = float(np.linalg.norm(embedding.astype(np.float64)))
    if length > 1e-15:  # of smaller numbers float32 cannot square
        assert np.linalg.norm(direction) == pytest.approx(1, abs=1e-4)
        assert direction @ embedding == pytest.approx(length, rel=1e-4)


@pytest.mark.parametrize(
    ("fingerprint", "fits"), [(None, True), ("f00d", True), ("F00D", False), ("", False)]
)
def test_only_the_model_that_filled_a_collection_searches_it(
    fingerprint: str | None, fits: bool
) -> None:
    """One that nobody has filled takes any; the refusal names collection and models."""
    collection = replace(COLLECTION, fingerprint=fingerprint)
    if fits:
        require_model(collection, "f00d")
    else:
        with pytest.raises(ModelMismatch, match=r"'default' was built with .* runs f00d"):
            require_model(collection, "f00d")
