"""Confidence calibration: turns a raw score into the probability of a true match.

X-CLIP's logits are not comparable from text to text, nor from segment to segment. A logit is
therefore compared twice: with what its text scores on a background of unrelated segments, and with
what its segment scores on a bank of unrelated texts (querybank normalisation, Bogolin et al., CVPR
2022, and dual softmax, Cheng et al. 2021). A logistic model turns these features into odds, and the
odds are divided among the E segments that could have matched: among E times as many segments, an
unrelated one scores that high E times as often.

    log odds = bias + weights · features - log E

K segments, N texts, B background segments, N0 bank texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Logits = NDArray[np.float32]

STANDARD_SCORE, BACKGROUND_SHARE, BANK_ODDS, BANK_SHARE = range(4)
FEATURE_COUNT = 4

# Beyond this the model has seen too few examples to distinguish one confidence from another.
_FARTHEST = 12.0
# Enough to keep the weights finite when the examples can be separated perfectly.
_PENALTY = 1e-4
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Background:
    """Statistics of what N texts score on unrelated segments; each float64, shape = (N,).

    log_mean_exp : logarithm of the mean exponential of the logits
    """

    mean: Floats
    deviation: Floats
    log_mean_exp: Floats

    @classmethod
    def of(cls, logits: Logits) -> Background:
        """logits : float32, shape = (B, N)"""
        values = logits.astype(np.float64)
        return cls(
            mean=values.mean(axis=0),
            deviation=values.std(axis=0).clip(1e-6),
            log_mean_exp=log_sum_exp(values.T) - np.log(len(values)),
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """The weights of the features and the bias, shape = (FEATURE_COUNT,) and a number.

    fitted : whether they were learned from labelled examples. The plain ones read the two softmax
        ranks as probabilities, which no measurement backs.
    """

    weights: tuple[float, ...]
    bias: float
    fitted: bool

    def confidence(self, features: Floats, eligible: int) -> Floats:
        """Probabilities in [0, 1], shape = (…), from features of shape (…, FEATURE_COUNT)."""
        odds = features @ np.array(self.weights) + self.bias - np.log(max(1, eligible))
        return sigmoid(odds)


PLAIN = Calibration(weights=(0.0, 1.0, 0.0, 1.0), bias=0.0, fitted=False)


def calibration_features(
    logits: Logits, background: Background, bank: NDArray[np.floating], same: NDArray[np.bool_]
) -> Floats:
    """The features of each logit; float64, shape = (K, N, FEATURE_COUNT).

    logits : float32, shape = (K, N)
    bank : the logits of the K segments for the bank's texts, shape = (K, N0)
    same : which bank texts mean what a text means and do not count, shape = (N, N0)

    In order: standard deviations above the text's mean on the background; logarithm of its share
    against the background's mean; log-odds against the bank, clipped at ±12; logarithm of the share
    against the bank.
    """
    values = logits.astype(np.float64)
    bank_odds = values - rest_of_bank(bank, same)
    features = np.empty((*values.shape, FEATURE_COUNT))
    features[..., STANDARD_SCORE] = (values - background.mean) / background.deviation
    features[..., BACKGROUND_SHARE] = values - background.log_mean_exp
    features[..., BANK_ODDS] = bank_odds.clip(-_FARTHEST, _FARTHEST)
    features[..., BANK_SHARE] = -np.logaddexp(0, -bank_odds)
    return features


def rest_of_bank(bank: NDArray[np.floating], same: NDArray[np.bool_]) -> Floats:
    """Log-sum-exp of each segment's bank logits without those that mean the same; (K, N).

    bank : shape = (K, N0); same : shape = (N, N0)
    """
    values = bank.astype(np.float64)
    highest = values.max(axis=1, keepdims=True)
    shares = np.exp(values - highest)  # (K, N0)
    # The texts that count are added up. Subtracting the others from the sum of all would leave only
    # rounding errors where one of the others is far larger.
    rest = shares @ (~same).T.astype(np.float64)  # (K, N)
    return np.asarray(highest + np.log(rest.clip(np.finfo(np.float64).tiny)))


@dataclass(frozen=True, slots=True)
class Examples:
    """First results of searches whose answer is known.

    features : float64, shape = (M, FEATURE_COUNT)
    eligible : float64, shape = (M,), how many segments each search could choose from
    match : bool, shape = (M,)
    """

    features: Floats
    eligible: Floats
    match: NDArray[np.bool_]


def draw_examples(
    logits: Logits,
    features: Floats,
    match: NDArray[np.bool_],
    sizes: Sequence[int],
    rounds: int,
    random: np.random.Generator,
    first: int = 5,
) -> Examples:
    """The `first` results of searches among few segments, without a match and with one in turn.

    logits : shape = (K, N); features : shape = (K, N, FEATURE_COUNT)
    match : which segment shows what which text says, shape = (K, N)
    sizes : how many segments a search chooses from; rounds : searches of each text and size

    Raises ValueError when no text has both a match and something else.
    """
    found: list[tuple[int, int, int]] = []  # segment, text, size
    for text in range(logits.shape[1]):
        matching, others = np.flatnonzero(match[:, text]), np.flatnonzero(~match[:, text])
        if not len(matching) or not len(others):
            continue
        for size in sizes:
            for _ in range(rounds):
                chosen = random.permutation(others)[:size]
                with_match = np.append(chosen[: size - 1], random.choice(matching))
                for eligible in (chosen, with_match):
                    best = eligible[np.argsort(-logits[eligible, text])][:first]
                    found += [(int(segment), text, len(eligible)) for segment in best]
    if not found:
        raise ValueError("no text has both a segment that matches and one that does not")
    segments, texts, eligible_counts = np.array(found).T
    return Examples(
        features[segments, texts], eligible_counts.astype(np.float64), match[segments, texts]
    )


def fit(examples: Examples, use: Sequence[int] = (STANDARD_SCORE, BANK_ODDS)) -> Calibration:
    """Logistic regression by Newton's method; the weight of log E is held at -1.

    use : the features to weigh; the others get 0. The two kinds of softmax share add nothing to
        these measurably.
    """
    chosen = examples.features[:, use]
    centre, spread = chosen.mean(axis=0), chosen.std(axis=0).clip(1e-9)
    inputs = np.column_stack([np.ones(len(chosen)), (chosen - centre) / spread])
    solution = _maximise(inputs, -np.log(examples.eligible), examples.match)
    slopes = solution[1:] / spread
    weights = np.zeros(FEATURE_COUNT)
    weights[list(use)] = slopes
    bias = float(solution[0] - centre @ slopes)
    return Calibration(tuple(weights.tolist()), bias, fitted=True)


def _maximise(inputs: Floats, offset: Floats, match: NDArray[np.bool_]) -> Floats:
    """Weights of the most likely logistic model; steps are halved so that they cannot diverge."""
    penalty = np.full(inputs.shape[1], _PENALTY)
    penalty[0] = 0.0
    sign = np.where(match, 1.0, -1.0)

    def loss(weights: Floats) -> float:
        margins = sign * (inputs @ weights + offset)
        return float(np.logaddexp(0, -margins).mean() + (penalty * weights**2).sum() / 2)

    weights = np.zeros(inputs.shape[1])
    weights[0] = -offset.mean()
    for _ in range(_STEPS):
        chance = sigmoid(inputs @ weights + offset)
        gradient = inputs.T @ (chance - match) / len(match) + penalty * weights
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs / len(match)
        step = np.linalg.solve(curvature + np.diag(penalty + 1e-12), gradient)
        scale = 1.0
        while loss(weights - scale * step) > loss(weights) and scale > 1e-6:
            scale /= 2
        weights = weights - scale * step
        if np.abs(scale * step).max() < 1e-9:
            break
    return np.asarray(weights)


def expected_calibration_error(
    confidence: Floats, match: NDArray[np.bool_], bins: int = 10
) -> float:
    """The mean gap between confidence and frequency, over bins of equal width.

    Guo et al. 2017, §2: the bins' |accuracy - confidence| weighted by their share of the samples.
    """
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    believed = np.bincount(bin_of, weights=confidence, minlength=bins)
    true = np.bincount(bin_of, weights=match, minlength=bins)
    return float(np.abs(believed - true).sum() / counts.sum())


def log_sum_exp(values: Floats) -> Floats:
    """Over the last axis; never overflows."""
    highest = values.max(axis=-1, keepdims=True)
    total = np.log(np.exp(values - highest).sum(axis=-1))
    return np.asarray(total + highest[..., 0])


def share_among(confidence: float, eligible: int, fewer: int) -> float:
    """The confidence of a match that could have been one of `fewer` segments, not of `eligible`."""
    with np.errstate(divide="ignore"):
        odds = np.log(confidence) - np.log1p(-confidence)
    return float(sigmoid(odds + np.log(max(1, eligible)) - np.log(max(1, fewer))))


def sigmoid(odds: Floats) -> Floats:
    """Probability from log-odds, without overflow and exact for the smallest values."""
    return np.asarray(np.exp(-np.logaddexp(0, -odds)))
