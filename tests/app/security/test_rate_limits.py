"""Rate limits: the token bucket against an exact model, and what is counted at once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.security.rate_limits import ConcurrencyLimit, TokenBuckets
from tests.app.catalog.samples import HandClock


class ExactBucket:
    """One bucket in fractions, which do not round."""

    def __init__(self, size: int) -> None:
        self.tokens = Fraction(size)

    def take(self, passed: Fraction, per_minute: int) -> Fraction:
        """What the real bucket should answer `passed` seconds after the last time."""
        self.tokens = min(Fraction(per_minute), self.tokens + passed * per_minute / 60)
        if self.tokens >= 1:
            self.tokens -= 1
            return Fraction(0)
        return (1 - self.tokens) * 60 / per_minute


# The clock's sixteenths of a second are exact in floats, so that the model sees the same times.
TICKS = st.integers(0, 40 * 16)
RATES = st.sampled_from([1, 2, 15, 60, 240, 960])


@settings(max_examples=60)
@example(2, [0, 4, 49, 427, 0])  # a token that is there but for a rounding
@given(RATES, st.lists(TICKS, max_size=80))
def test_a_bucket_is_the_exact_model(per_minute: int, ticks: list[int]) -> None:
    """Each request is let in, or told to wait, as a bucket that never rounds would."""
    clock, model = HandClock(), ExactBucket(per_minute)
    clock.time = clock.time.replace(microsecond=0)
    buckets = TokenBuckets(clock)
    for each in ticks:
        clock.time += timedelta(seconds=each / 16)
        wait_s = buckets.take("a", per_minute)
        assert wait_s == pytest.approx(float(model.take(Fraction(each, 16), per_minute)), abs=1e-6)


@given(st.integers(1, 200))
def test_the_whole_allowance_may_come_at_once_and_one_more_may_not(per_minute: int) -> None:
    """A full bucket holds what a minute brings; the wait is told for the first one beyond."""
    buckets = TokenBuckets(HandClock())
    assert [buckets.take("a", per_minute) for _ in range(per_minute)] == [0.0] * per_minute
    assert buckets.take("a", per_minute) == pytest.approx(60 / per_minute)
    assert buckets.take("b", per_minute) == 0.0


def test_asking_too_early_costs_nothing() -> None:
    """A refused client that asks again and again waits no longer for it."""
    clock = HandClock()
    buckets = TokenBuckets(clock)
    buckets.take("a", 1)
    for passed in range(60):
        assert buckets.take("a", 1) == pytest.approx(60 - passed, abs=1e-3)
        clock.advance(1)
    clock.advance(0.001)
    assert buckets.take("a", 1) == 0.0


def test_a_lower_rate_counts_at_once_and_a_higher_one_fills_slowly() -> None:
    """When a key's limit changes, what was saved is cut to it, and nothing is given ahead."""
    buckets = TokenBuckets(HandClock())
    assert buckets.take("a", 100) == 0.0
    assert [buckets.take("a", 2) > 0 for _ in range(3)] == [False, False, True]
    assert buckets.take("a", 100) > 0


def test_the_name_seen_longest_ago_is_forgotten_first() -> None:
    """At the limit of names; being refused counts as being seen."""
    buckets = TokenBuckets(HandClock(), names_kept=2)
    for name in ("old", "busy"):
        assert buckets.take(name, 1) == 0.0
    assert buckets.take("old", 1) > 0
    assert buckets.take("new", 1) == 0.0  # in the place of "busy"
    assert buckets.take("old", 1) > 0
    assert buckets.take("busy", 1) == 0.0


class ConcurrencyLimitMachine(RuleBasedStateMachine):
    """Requests of a few names enter and leave in any order, beside a plain count."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = ConcurrencyLimit()
        self.inside: Counter[str] = Counter()

    @rule(name=st.sampled_from("ab"), at_once=st.none() | st.integers(0, 3))
    def enter(self, name: str, at_once: int | None) -> None:
        """One is let in exactly below the limit of the moment."""
        fits = at_once is None or self.inside[name] < at_once
        assert self.limit.enter(name, at_once) == fits
        self.inside[name] += fits

    @rule(name=st.sampled_from("ab"))
    def leave(self, name: str) -> None:
        """One that is inside leaves."""
        if self.inside[name]:
            self.limit.leave(name)
            self.inside[name] -= 1

    @invariant()
    def nobody_is_remembered_who_is_not_inside(self) -> None:
        """The memory is bounded by the requests that are being served."""
        assert self.limit._inside == +self.inside
        assert set(self.limit._inside) == set(+self.inside)


TestConcurrencyLimit = ConcurrencyLimitMachine.TestCase
TestConcurrencyLimit.settings = settings(max_examples=30, stateful_step_count=30)
