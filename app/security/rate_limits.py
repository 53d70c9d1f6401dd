"""Rate limiting by token bucket, and concurrency limits, in bounded memory."""

from __future__ import annotations

from collections import Counter, OrderedDict

from app.clock import Clock

NAMES_KEPT = 4096
_ROUNDING = 1e-9  # of a token: who waits exactly as long as told is not told to wait again


class TokenBuckets:
    """A bucket of tokens for each name; it holds the tokens of a minute, and is full at first.

    Only the names seen last are kept: one that is forgotten starts with a full bucket again.
    """

    def __init__(self, clock: Clock, names_kept: int = NAMES_KEPT) -> None:
        self._clock = clock
        self._names_kept = names_kept
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when

    def take(self, name: str, per_minute: int) -> float:
        """Take a token: 0, or the seconds until there will be one."""
        now = self._clock.monotonic()
        tokens, since = self._levels.pop(name, (float(per_minute), now))
        tokens = min(float(per_minute), tokens + (now - since) * per_minute / 60)
        wait = 0.0 if tokens >= 1 - _ROUNDING else (1 - tokens) * 60 / per_minute
        self._levels[name] = (tokens - (wait == 0.0), now)
        if len(self._levels) > self._names_kept:
            self._levels.popitem(last=False)
        return wait


class ConcurrencyLimit:
    """How many are inside at once, by name."""

    def __init__(self) -> None:
        self._inside: Counter[str] = Counter()

    def enter(self, name: str, at_once: int | None) -> bool:
        """Count one more, unless `at_once` are inside already."""
        if at_once is not None and self._inside[name] >= at_once:
            return False
        self._inside[name] += 1
        return True

    def leave(self, name: str) -> None:
        """Count one less."""
        self._inside[name] -= 1
        if not self._inside[name]:
            del self._inside[name]
