"""Periodic tasks: run at start-up, then at intervals.

A chore that fails is logged and tried again the next time; it stops neither the others nor the
service.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread

INTERVAL_S = 60.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Something that may be done at any time and as often as you like; it blocks."""

    name: str
    do: Callable[[], object]


class PeriodicTasks:
    """Does its chores at once, and then every minute, one after the other."""

    def __init__(
        self,
        chores: Sequence[PeriodicTask],
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._chores = chores
        self._sleep = sleep
        # Not the shared pool, in which requests might leave no thread for it.
        self._thread = anyio.CapacityLimiter(1)

    async def run(self) -> None:
        """Never ends by itself; cancelled, it lets the chore in hand end first."""
        while True:
            for chore in self._chores:
                try:
                    await anyio.to_thread.run_sync(chore.do, limiter=self._thread)
                except Exception:  # noqa: BLE001  a chore's bug must not end the others
                    _log.exception("the chore %s failed and will be tried again", chore.name)
            await self._sleep(INTERVAL_S)
