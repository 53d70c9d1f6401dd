"""Searches of a fit: which texts are of use, how large searches are, and what is in each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.calibration.confidence import ROUNDS, SMALLEST_SEARCH, Searches
from xclip.confidence.calibration import FEATURE_COUNT

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 5))


def searches_of(match: np.ndarray, partly: np.ndarray) -> Searches:
    """Searches among segments whose first feature is their number; texts score them in order."""
    segments, texts = match.shape
    logits = np.repeat(np.arange(segments, dtype=np.float32)[:, None], texts, axis=1)
    features = np.repeat(logits[..., None].astype(np.float64), FEATURE_COUNT, axis=2)
    return Searches(logits, features, match, partly)


@given(data=st.data(), shape=SHAPES)
def test_a_text_is_of_use_if_something_matches_and_something_does_not(
    data: st.DataObject, shape: tuple[int, int]
) -> None:
    """What shows a part of it speaks neither for nor against it."""
    match, partly = (data.draw(arrays(np.bool_, shape)) for _ in range(2))
    partly &= ~match
    expected = [
        text
        for text in range(shape[1])
        if any(match[:, text])
        and any(not (match[at, text] or partly[at, text]) for at in range(shape[0]))
    ]
    assert searches_of(match, partly).usable == expected


@pytest.mark.parametrize(
    ("segments", "sizes"),
    [
        (2, [10]),
        (39, [10]),
        (40, [10, 20]),
        (79, [10, 20]),
        (80, [10, 20, 40]),
        (1000, [10, 20, 40, 80, 160, 320]),
    ],
)
def test_searches_double_up_to_half_of_the_segments(segments: int, sizes: list[int]) -> None:
    """Each size is searched as often, without a match and with one."""
    match = np.zeros((segments, 1), np.bool_)
    match[0] = True
    some = searches_of(match, np.zeros_like(match))
    found = some.examples([0], 1, np.random.default_rng(0))
    each = [size for size in sizes for _ in range(ROUNDS)]
    without, with_match = found.eligible[::2], found.eligible[1::2]
    assert without.tolist() == [min(size, segments - 1) for size in each]
    assert with_match.tolist() == [min(size, segments) for size in each]


@given(seed=st.integers(0, 2**32 - 1), first=st.integers(1, 5), partly=st.integers(0, 3))
def test_examples_are_the_first_results_of_their_searches(
    seed: int, first: int, partly: int
) -> None:
    """The highest of those chosen, best first; in every second search one of them matches."""
    count = SMALLEST_SEARCH + 5
    match, part = np.zeros((count, 1), np.bool_), np.zeros((count, 1), np.bool_)
    match[count - 1], part[:partly] = True, True  # what matches scores highest here
    found = searches_of(match, part).examples([0], first, np.random.default_rng(seed))
    numbers = found.features[:, 0].reshape(-1, first)
    assert (numbers >= partly).all()
    assert (np.diff(numbers, axis=1) < 0).all()
    hits = found.match.reshape(-1, first)
    assert not hits[::2].any()
    assert hits[1::2, 0].all()
    assert not hits[1::2, 1:].any()


def test_the_same_generator_draws_the_same_searches() -> None:
    """A fit can be repeated from its seed, and only from that."""
    match = np.zeros((40, 3), np.bool_)
    match[:2] = True
    some = searches_of(match, np.zeros_like(match))
    one, other, third = (
        some.examples([0, 2], 5, np.random.default_rng(seed)).features for seed in (1, 1, 2)
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)
