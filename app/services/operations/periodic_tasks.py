"""Periodic tasks: run at start-up, then at intervals.

A task that fails is logged and runs again the next time; it stops neither the others nor the
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
    """Work that may run at any time and any number of times; it blocks."""

    name: str
    do: Callable[[], object]


class PeriodicTasks:
    """Runs its tasks at once, and then every minute, one after the other."""

    def __init__(
        self,
        tasks: Sequence[PeriodicTask],
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._tasks = tasks
        self._sleep = sleep
        # Not the shared pool, in which requests might leave no thread for it.
        self._thread = anyio.CapacityLimiter(1)

    async def run(self) -> None:
        """Never ends by itself; cancelled, it lets the running task end first."""
        while True:
            for task in self._tasks:
                try:
                    await anyio.to_thread.run_sync(task.do, limiter=self._thread)
                except Exception:  # noqa: BLE001  a task's bug must not end the others
                    _log.exception("the task %s failed and will run again", task.name)
            await self._sleep(INTERVAL_S)
