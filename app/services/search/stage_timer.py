"""Stage timer: adds up the seconds that each named stage of a search takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from app.clock import Clock

StageName: TypeAlias = Literal["encode", "filter", "recall", "rerank", "arrange", "page"]


class StageTimer:
    """Times the stages of one search, on one thread. A stage that runs again adds to its time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: dict[StageName, float] = {}

    @contextmanager
    def stage(self, name: StageName) -> Iterator[None]:
        """Add the time that the block takes to the stage, also when the block raises."""
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = self.seconds(name) + self._clock.monotonic() - began

    def seconds(self, *names: StageName) -> float:
        """How long these stages took together; one that has not run took 0."""
        return sum(self._seconds.get(name, 0.0) for name in names)
