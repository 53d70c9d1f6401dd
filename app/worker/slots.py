"""Slots: how many ingests a worker runs at once, and one more for short ones beside long ones.

While every slot holds a long ingest, one further slot takes short ones, so that no clip of a minute
waits for the end of a film. What turns out to be long there makes way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

LONG_S: Final = 60.0  # an ingest that takes longer is long


class Slot:
    """The place of one ingest.

    for_short : whether a long one has to make way here
    """

    def __init__(self, clock: Callable[[], float], *, for_short: bool) -> None:
        self.for_short = for_short
        self.price_s = 0.0
        self._clock = clock
        self._began = clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was taken."""
        return self._clock() - self._began

    @property
    def is_long(self) -> bool:
        """Whether its ingest is priced long, or has been."""
        return max(self.price_s, self.elapsed_s) > LONG_S

    @property
    def must_make_way(self) -> bool:
        """Whether its ingest has to go back to the queue."""
        return self.for_short and self.is_long


class IngestSlots:
    """The slots of one worker; safe to use from several threads.

    clock : monotonic seconds
    """

    def __init__(self, count: int, clock: Callable[[], float]) -> None:
        self.count = count
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: list[Slot] = []

    @contextmanager
    def take(self) -> Iterator[Slot | None]:
        """A slot within the block, or None while there is none."""
        slot = self._begin()
        try:
            yield slot
        finally:
            if slot is not None:
                with self._lock:
                    self._taken.remove(slot)

    def _begin(self) -> Slot | None:
        with self._lock:
            full = len(self._taken) >= self.count
            if full and not (
                len(self._taken) == self.count and all(slot.is_long for slot in self._taken)
            ):
                return None
            slot = Slot(self._clock, for_short=full)
            self._taken.append(slot)
            return slot
