"""The system's clock is aware and in UTC; the settled one follows no jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock import SETTLE_S, Clock, SettledClock, SystemClock
from tests.app.catalog.samples import HandClock


def test_tells_utc() -> None:
    """The time of day is timezone-aware and lies between two readings of the machine's."""
    clock: Clock = SystemClock()
    before = datetime.now(UTC)
    now = clock.now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo == UTC


def test_never_runs_backwards() -> None:
    """Monotonic readings only grow."""
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]
    assert sorted(readings) == readings


def test_a_clock_that_nobody_sets_is_settled_after_an_hour() -> None:
    """Then it tells the time itself, between looks too."""
    clock = HandClock()
    settled = SettledClock(clock)
    assert settled.now() is None
    assert settled.look() is None
    clock.advance(SETTLE_S - 1)
    assert settled.look() is None
    clock.advance(1)
    assert settled.now() == clock.now()
    clock.advance(59.5)
    assert settled.now() == settled.look() == clock.now()


@pytest.mark.parametrize("pause_s", [60.0, 3 * SETTLE_S])
def test_a_jump_forward_counts_an_hour_later(pause_s: float) -> None:
    """Also when nobody has looked for hours before it."""
    clock = HandClock()
    settled = SettledClock(clock)
    settled.look()
    clock.advance(max(pause_s, SETTLE_S))
    right = clock.now()
    clock.jump(25)
    assert settled.look() == right
    clock.advance(SETTLE_S - 1)
    assert settled.look() == right + timedelta(seconds=SETTLE_S - 1)
    clock.advance(1)
    assert settled.look() == clock.now()


@given(
    steps=st.lists(
        st.tuples(st.floats(1, SETTLE_S / 4), st.floats(-100, 100), st.booleans()), max_size=20
    )
)
def test_jumps_that_are_taken_back_within_the_hour_are_never_seen(
    steps: list[tuple[float, float, bool]],
) -> None:
    """Whatever is looked at meanwhile, it is never later than the right time."""
    clock, passed_s, jumped_h = HandClock(), SETTLE_S, 0.0
    begin = clock.now()
    settled = SettledClock(clock)
    settled.look()
    clock.advance(SETTLE_S)
    for seconds, hours, back in steps:
        clock.jump(-jumped_h if back else 0.0)
        jumped_h = 0.0 if back else jumped_h
        if jumped_h == 0.0:
            settled.look()
            clock.jump(hours)
            jumped_h = hours
        found = settled.look()
        assert found is not None
        assert found <= begin + timedelta(seconds=passed_s + 1e-3)
        clock.advance(seconds)
        passed_s += seconds
        if passed_s > 2 * SETTLE_S:
            return
