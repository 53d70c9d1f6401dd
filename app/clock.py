"""Clock: time as a port, so that nothing reads the machine's clock directly.

Durations are measured by `monotonic`, which no one can set. `now` may be set at any moment, by
hours and back again: one reading of it is no reason to delete anything, so what deletes has a
`SettledClock`.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

SETTLE_S: Final = 3600.0


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


class SettledClock:
    """The time of day for what deletes: it follows a clock that was set forward an hour later.

    Each look reads the time of day and counts on from there by monotonic time; the least of what
    the looks of the last hour say is the time. So a clock that is set forward and back within the
    hour changes nothing, and a clock that was wrong when the process started has an hour to be
    corrected.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looks: deque[tuple[float, datetime]] = deque()

    def look(self) -> datetime | None:
        """Read the clock, once a minute or so; then as `now`."""
        at = self._clock.monotonic()
        self._looks.append((at, self._clock.now()))
        while len(self._looks) > 1 and at - self._looks[1][0] >= SETTLE_S:
            self._looks.popleft()  # the one that remains is as old as the hour, or older
        return self.now()

    def now(self) -> datetime | None:
        """The time of day, aware, in UTC; None before the first look is an hour old."""
        at = self._clock.monotonic()
        looks = tuple(self._looks)
        if not looks or at - looks[0][0] < SETTLE_S:
            return None
        return min(read + timedelta(seconds=at - then) for then, read in looks)
