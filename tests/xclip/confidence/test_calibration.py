"""From a raw score to a chance: what must hold for any numbers, and what a fit must find."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xclip.confidence.calibration import (
    BANK_ODDS,
    BANK_SHARE,
    FEATURE_COUNT,
    PLAIN,
    STANDARD_SCORE,
    Background,
    Calibration,
    Examples,
    calibration_features,
    draw_examples,
    expected_calibration_error,
    fit,
    log_sum_exp,
    rest_of_bank,
    share_among,
    sigmoid,
)

# Letters: K segments, N texts, B background segments, N0 bank texts.

K, N, B, N0 = 4, 3, 6, 5
weights = st.tuples(*[st.floats(0, 3, width=32)] * FEATURE_COUNT)
calibrations = st.builds(Calibration, weights, st.floats(-20, 20), st.booleans())
eligible_counts = st.integers(1, 10**6)


def logits(rows: int, columns: int, limit: float = 100.0) -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.float32, (rows, columns), elements=st.floats(-limit, limit, width=32))


def flags(rows: int, columns: int) -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.bool_, (rows, columns))


def features_of(scores: np.ndarray, background: np.ndarray, bank: np.ndarray, same: np.ndarray):
    return calibration_features(scores, Background.of(background), bank.astype(np.float16), same)


@given(logits(K, N), logits(B, N), logits(K, N0), flags(N, N0), calibrations, eligible_counts)
def test_confidence_is_a_chance(scores, background, bank, same, calibration, eligible):
    """Between 0 and 1 whatever the scores, one for each segment and text."""
    chances = calibration.confidence(features_of(scores, background, bank, same), eligible)
    assert chances.shape == (K, N)
    assert ((chances >= 0) & (chances <= 1)).all()


@given(
    logits(K, N, 1e4), logits(B, N, 1e4), logits(K, N0, 1e4), flags(N, N0), calibrations, st.data()
)
def test_extreme_logits_never_make_nan(scores, background, bank, same, calibration, data):
    """Logits of ten thousand, equal backgrounds, banks of which nothing counts: still chances."""
    if data.draw(st.booleans(), "a background without spread"):
        background = np.full_like(background, background[0, 0])
    features = features_of(scores, background, bank, same)
    assert np.isfinite(features).all()
    for used in (calibration, PLAIN):
        assert np.isfinite(used.confidence(features, 100)).all()


@given(
    logits(K, N),
    logits(B, N),
    logits(K, N0),
    flags(N, N0),
    calibrations,
    st.floats(0, 50, width=32),
)
def test_a_higher_logit_is_never_less_certain(scores, background, bank, same, calibration, more):
    """Everything else being equal, and the weights not negative."""
    features = features_of(scores, background, bank, same)
    higher = features_of(scores + np.float32(more), background, bank, same)
    assert (higher >= features - 1e-9).all()
    rise = calibration.confidence(higher, 10) - calibration.confidence(features, 10)
    assert (rise >= -1e-9).all()


@given(logits(K, N, 5.0), logits(B, N, 5.0), logits(K, N0, 5.0), eligible_counts, eligible_counts)
def test_more_eligible_segments_share_the_odds(scores, background, bank, few, many):
    """With E times as many the odds are an E-th: the log-odds differ by the logarithm of E."""
    few, many = sorted((few, many))
    features = features_of(scores, background, bank, np.zeros((N, N0), np.bool_))
    surer, less_sure = PLAIN.confidence(features, few), PLAIN.confidence(features, many)
    assert (less_sure <= surer).all()
    assume((surer < 1 - 1e-6).all())
    np.testing.assert_allclose(
        log_odds(surer) - log_odds(less_sure), math.log(many / few), atol=1e-6
    )


def log_odds(chances: np.ndarray) -> np.ndarray:
    return np.log(chances) - np.log1p(-chances)


@pytest.mark.parametrize("limit", [10.0, 60.0, 300.0])
@pytest.mark.parametrize("seed", range(20))
def test_the_rest_of_the_bank_is_the_others_log_sum_exp(limit: float, seed: int):
    """Brute force, also where a text that does not count towers over the others."""
    random = np.random.default_rng(seed)
    bank = random.uniform(-limit, limit, (K, N0)).astype(np.float16)
    same = random.random((N, N0)) < 0.4
    same[:, 0] = False  # something is left
    found = rest_of_bank(bank, same)
    for segment in range(K):
        for text in range(N):
            others = bank[segment, ~same[text]].astype(np.float64)
            assert found[segment, text] == pytest.approx(np.logaddexp.reduce(others), abs=1e-9)


def test_a_bank_of_which_nothing_counts_takes_no_certainty():
    """There is nothing else that the segment might show."""
    scores, same = np.zeros((K, N), np.float32), np.ones((N, N0), np.bool_)
    features = features_of(scores, np.zeros((B, N)), np.zeros((K, N0)), same)
    assert (features[..., BANK_ODDS] == 12).all()
    np.testing.assert_allclose(features[..., BANK_SHARE], 0, atol=1e-9)


@given(logits(B, N, 50.0))
def test_the_background_is_mean_deviation_and_mean_exponential(values: np.ndarray):
    """As NumPy says; a deviation of nothing counts as a little."""
    found, exact = Background.of(values), values.astype(np.float64)
    np.testing.assert_allclose(found.mean, exact.mean(axis=0))
    np.testing.assert_allclose(found.deviation, np.maximum(exact.std(axis=0), 1e-6))
    np.testing.assert_allclose(np.exp(found.log_mean_exp), np.exp(exact).mean(axis=0), rtol=1e-9)


@given(arrays.arrays(np.float64, (3, 7), elements=st.floats(-1e4, 1e4)))
def test_log_sum_exp_never_overflows(values: np.ndarray):
    """As NumPy's slow and safe one."""
    expected = np.logaddexp.reduce(values, axis=1)
    np.testing.assert_allclose(log_sum_exp(values), expected, rtol=1e-12, atol=1e-12)


@given(st.floats(-30, 30), eligible_counts, eligible_counts)
def test_sharing_among_fewer_is_asking_among_fewer(odds: float, eligible: int, fewer: int):
    """What the calibration would have said had only `fewer` been eligible; and back again."""
    chance = float(sigmoid(np.array(odds - math.log(eligible))))
    assume(1e-12 < chance < 1 - 1e-9)
    shared = share_among(chance, eligible, fewer)
    assert shared == pytest.approx(float(sigmoid(np.array(odds - math.log(fewer)))), rel=1e-5)
    if shared < 1 - 1e-9:
        assert share_among(shared, fewer, eligible) == pytest.approx(chance, rel=1e-5)


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_certainty_stays_certain_however_it_is_shared(sure: float):
    """No division by zero at either end."""
    assert share_among(sure, 100, 3) == sure


def simulated(random: np.random.Generator, count: int, truth: Calibration) -> Examples:
    """First results whose chances are exactly what `truth` says."""
    features = np.zeros((count, FEATURE_COUNT))
    features[:, STANDARD_SCORE] = random.normal(3, 2, count)
    features[:, BANK_ODDS] = random.normal(0, 3, count).clip(-12, 12)
    eligible = random.choice([10, 20, 40, 80], count).astype(np.float64)
    match = random.random(count) < chances(truth, features, eligible)
    return Examples(features, eligible, match)


def chances(calibration: Calibration, features: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    pairs = zip(features, eligible, strict=True)
    return np.array([calibration.confidence(one, int(among)) for one, among in pairs])


@pytest.mark.parametrize("seed", range(3))
def test_a_fit_finds_the_weights_and_is_calibrated(seed: int):
    """From simulated searches the truth comes back, and fresh ones turn out as often as said."""
    truth = Calibration((1.5, 0.0, 0.6, 0.0), bias=-2.0, fitted=True)
    random = np.random.default_rng(seed)
    found = fit(simulated(random, 20_000, truth))
    assert found.fitted
    np.testing.assert_allclose(found.weights, truth.weights, rtol=0.1, atol=1e-9)
    assert found.bias == pytest.approx(truth.bias, abs=0.3)
    fresh = simulated(random, 5_000, truth)
    assert (
        expected_calibration_error(chances(found, fresh.features, fresh.eligible), fresh.match)
        < 0.02
    )


def test_a_fit_bears_examples_that_can_be_told_apart_perfectly():
    """The weights stay finite, and the answers are the right ones."""
    features = np.zeros((40, FEATURE_COUNT))
    features[:, STANDARD_SCORE] = np.repeat([0.0, 8.0], 20)
    examples = Examples(features, np.full(40, 10.0), np.repeat([False, True], 20))
    found = fit(examples)
    assert np.isfinite([*found.weights, found.bias]).all()
    assert ((found.confidence(features, 10) > 0.5) == examples.match).all()


@given(flags(12, 4), st.integers(0, 2**32 - 1))
def test_examples_are_the_best_of_searches_without_and_with_a_match_in_turn(match, seed):
    """One first result a search: the best of what was eligible, which the sizes bound."""
    random = np.random.default_rng(seed)
    scores = random.permutation(match.size).reshape(match.shape).astype(np.float32)
    features = scores[..., None].repeat(FEATURE_COUNT, axis=-1).astype(np.float64)
    usable = match.any(axis=0) & ~match.all(axis=0)
    if not usable.any():
        with pytest.raises(ValueError, match="no text"):
            draw_examples(scores, features, match, [3, 6], 2, random)
        return
    found = draw_examples(scores, features, match, [3, 6], 2, random, first=1)
    assert len(found.match) == usable.sum() * 2 * 2 * 2
    assert not found.match[::2].any()
    assert found.eligible.max() <= 6
    of_score = dict(zip(scores.ravel().tolist(), match.ravel().tolist(), strict=True))
    shown = [of_score[value] for value in found.features[:, 0].tolist()]
    assert shown == found.match.tolist()


def test_calibration_error_is_the_gap_between_belief_and_frequency():
    """A tenth too sure in one half of the answers and honest in the other is 0.05."""
    confidence = np.repeat([0.95, 0.05], 100)
    match = np.concatenate([np.arange(100) < 85, np.arange(100) < 5])
    assert expected_calibration_error(confidence, match) == pytest.approx(0.05)
    assert expected_calibration_error(np.array([1.0]), np.array([True])) == 0
