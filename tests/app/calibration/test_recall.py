"""Recall against brute force: what a search that scored only N candidates would have missed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.calibration import stored_collection as footage_module
from app.calibration.recall import (
    Line,
    Measured,
    curve,
    draw_queries,
    ladder,
    measure_recall,
    ranks,
    read_queries,
)
from app.calibration.stored_collection import CalibrationError, StoredCollection
from app.model_api.tensor_records import stack_records
from tests.app.calibration.conftest import footage_in, put, refreshed
from tests.app.planted import load_strongly_conditioned, random_videos
from xclip.encoder import Encoder, StoredSegments

TEXTS = ["a red square moves left", "blue circle", "down", "up right", "circle", "square up"]
LOGIT_NOISE, COSINE_NOISE = 1e-4, 1e-6  # from one batch, or one order of summation, to another
names = (f"random-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def strong(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_strongly_conditioned(encoder, tmp_path_factory.mktemp("strong") / "checkpoint")


@pytest.fixture(scope="module")
def library(
    strong: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StoredCollection]:
    """A data folder for collections of the tests' own; segments are read seven at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footage_module, "SEGMENTS_AT_ONCE", 7)
        with footage_in(tmp_path_factory.mktemp("recall"), strong) as opened:
            yield opened


def filled(library: StoredCollection, counts: list[int], seed: int) -> StoredCollection:
    """A fresh collection of videos with so many segments."""
    name = next(names)
    catalog, random = library.catalog, np.random.default_rng(seed)
    catalog.create_collection(name, model=library.encoder.name, window_s=5, stride_s=2.5)
    collection = catalog.get_collection(name)
    footage = StoredCollection(catalog, library.tensors, library.encoder, collection)
    for count in counts:
        put(footage, random_videos(library.encoder, count, random), with_bank=False)
    return refreshed(footage)


@given(
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    texts=st.lists(st.sampled_from(TEXTS), min_size=1, unique=True),
    top=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_recall_is_what_brute_force_counts(library: StoredCollection, counts, texts, top, seed):
    """Everything scored at once and sorted; vectors rounded to halves and sorted; sets compared."""
    footage = filled(library, counts, seed)
    records = [one for _, part in footage.read(footage.rows()) for one in part]
    exact, plain = rankings(footage.encoder, stack_records(records), texts, top)
    measured = measure_recall(footage, texts, top, threads=1)
    segments = sum(counts)
    assert (measured.segments, measured.queries) == (segments, len(texts))
    assert measured.top == min(top, segments)
    assert [line.candidates for line in measured.lines] == ladder(segments)
    for line in measured.lines:
        candidates = [set(order[: line.candidates]) for order in plain]
        best = [order[0] in some for order, some in zip(exact, candidates, strict=True)]
        of_top = [
            len(some & set(order[:top])) / min(top, segments)
            for order, some in zip(exact, candidates, strict=True)
        ]
        assert line.of_best == pytest.approx(np.mean(best))
        assert line.of_top == pytest.approx(np.mean(of_top))
    assert (measured.lines[-1].of_best, measured.lines[-1].of_top) == (1, 1)


def rankings(
    encoder: Encoder, stored: StoredSegments, texts: list[str], top: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Places by exact score and by plain vectors, each query's best first, without near ties."""
    embeddings = encoder.encode_text(texts)
    logits = encoder.score(embeddings, stored).T
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = directions @ stored.embedding.astype(np.float16).astype(np.float32).T
    exact, plain = np.argsort(-logits, axis=1), np.argsort(-cosines, axis=1)
    if logits.shape[1] > 1:
        best_first = np.take_along_axis(logits, exact, axis=1)[:, : top + 1]
        assume((-np.diff(best_first, axis=1) > LOGIT_NOISE).all())
        assume((-np.diff(np.take_along_axis(cosines, plain, axis=1), axis=1) > COSINE_NOISE).all())
    return exact.tolist(), plain.tolist()


def test_the_two_stages_do_differ(library: StoredCollection):
    """Else recall would be 1 everywhere and the test above would prove little."""
    measured = measure_recall(filled(library, [60], seed=5), TEXTS, 10, threads=1)
    assert [line.candidates for line in measured.lines] == [10, 20, 50, 60]
    recalls = [line.of_top for line in measured.lines]
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.9


def test_a_video_deleted_meanwhile_is_the_last_to_be_reached():
    """It was scored, but the index does not have it any more."""
    order = np.array([30, 10, 20])
    assert ranks(order, np.array([10, 99, 30])).tolist() == [2, 3, 1]


@given(st.integers(1, 10**7))
def test_the_ladder_climbs_from_ten_to_all(segments: int):
    """Each step is a 1, 2 or 5 with noughts, and the last is everything."""
    steps = ladder(segments)
    assert steps == sorted(set(steps))
    assert steps[-1] == segments
    assert all(str(step).rstrip("0") in {"1", "2", "5"} and step >= 10 for step in steps[:-1])
    assert len(steps) == 1 or steps[0] == 10


def test_the_curve_counts_what_is_reached():
    """Of two queries with a best two each."""
    found = np.array([[1, 40], [15, 12]])
    assert curve(found, 45) == (
        Line(10, of_best=0.5, of_top=0.25),
        Line(20, of_best=1.0, of_top=0.75),
        Line(45, of_best=1.0, of_top=1.0),
    )


def measured(*lines: tuple[int, float]) -> Measured:
    made = tuple(Line(candidates, 1.0, of_top) for candidates, of_top in lines)
    return Measured(made, lines[-1][0], queries=1, top=10)


def test_enough_is_the_fewest_that_reach_the_target():
    """And never so many that every search would be slow."""
    some = measured((10, 0.8), (20, 0.95), (50, 0.99), (70, 1.0))
    assert [some.enough(target) for target in (0.0, 0.9, 0.99, 1.0)] == [10, 20, 50, 70]
    with pytest.raises(CalibrationError, match=r"10000 candidates, the most .* 99% of the best 10"):
        measured((10, 0.1), (10_000, 0.98), (20_000, 1.0)).enough(0.99)


def test_queries_are_drawn_or_read(tmp_path: Path):
    """From a seed, each once; of a file every text."""
    bank = [f"text {number}" for number in range(30)]
    drawn = draw_queries(bank, 10, seed=0)
    assert drawn == draw_queries(bank, 10, seed=0) != draw_queries(bank, 10, seed=1)
    assert len(set(drawn)) == 10
    assert set(draw_queries(bank, 100, seed=0)) == set(bank)
    path = tmp_path / "queries.txt"
    path.write_text(" red circle \n\nblau\nred circle\n", encoding="utf-8")
    assert read_queries(path) == ["red circle", "blau"]
    for nothing in (b"\n \n", b"\xff"):
        path.write_bytes(nothing)
        with pytest.raises(CalibrationError, match=r"holds no text|not UTF-8"):
            read_queries(path)
