"""Clock: time as a port, so that nothing reads the machine's clock directly."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of time that tests can replace."""

    def now(self) -> datetime:
        """The time of day, timezone-aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, for deadlines and durations."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()
