"""The system's clock is aware, in UTC, and never runs backwards."""

from __future__ import annotations

from datetime import UTC, datetime

from app.clock import Clock, SystemClock


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
