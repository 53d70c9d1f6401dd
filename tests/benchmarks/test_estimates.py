"""The benchmarks' statistics: shares and calibration errors with their intervals, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.estimates import Guess, Tally, bootstrap


def test_an_interval_holds_what_the_binomial_distribution_gives() -> None:
    """The interval of 60 right of 100 is within a hundredth of the normal approximation's."""
    right = np.repeat([1.0, 0.0], (60, 40))
    found = bootstrap(100, lambda chosen: float(right[chosen].mean()))
    assert found.value == 0.6
    wide = 1.96 * np.sqrt(0.6 * 0.4 / 100)
    assert (found.low, found.high) == pytest.approx((0.6 - wide, 0.6 + wide), abs=0.011)


def test_an_interval_is_the_same_each_time() -> None:
    """Two runs over the same clips print the same figures."""
    values = np.arange(10.0)
    first, second = (bootstrap(10, lambda chosen: float(values[chosen].mean())) for _ in range(2))
    assert first == second


def test_a_result_pools_the_seeds_and_shows_each() -> None:
    """The figure is the mean over all clips, with every seed's own mean beside it."""
    tally = Tally("table")
    for seed, values in {7: (1, 1, 0, 1), 8: (0, 0)}.items():
        tally.seed = seed
        for value in values:
            tally.add("R@1", value, plain=1, averaged=0)
    found = tally.result("R@1", chance=0.25, bar="≥ 0.9")
    assert (found.clips, found.service.value, found.by_seed) == (6, 0.5, (0.75, 0.0))
    assert (found.plain, found.averaged, found.chance, found.bar) == (1, 0, 0.25, "≥ 0.9")
    assert found.service.low < 0.5 < found.service.high


def test_a_calibration_error_is_the_gap_between_confidence_and_frequency() -> None:
    """Ten clips believed at 0.9 of which six are right, and absent at 0.1: (0.3 + 0.1) / 2."""
    tally = Tally("table")
    for number in range(10):
        tally.add_guesses("error", [Guess(0.9, right=number < 6), Guess(0.1, right=False)])
    found = tally.result("error")
    assert found.service.value == pytest.approx(0.2)
    assert found.clips == 10
    assert found.plain is None
    assert found.averaged is None


def test_a_clips_answers_are_drawn_together() -> None:
    """Each clip's two answers are opposite, so no draw of clips changes the share: no spread."""
    tally = Tally("table")
    for _ in range(20):
        tally.add_guesses("error", [Guess(0.5, right=True), Guess(0.5, right=False)])
    found = tally.result("error").service
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_measures_come_in_the_order_in_which_they_were_added() -> None:
    """A table's lines follow the first clip's."""
    tally = Tally("table")
    for measure in ("b", "a", "b"):
        tally.add(measure, 1)
    assert list(tally) == ["b", "a"]
