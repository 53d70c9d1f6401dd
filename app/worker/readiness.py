"""Readiness probe of the worker: whether the model has shown that it can run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio.to_thread


class ModelReadiness:
    """Has the model run until it has done so once; then remembers it.

    Probes that come while it runs wait for the same run, so probes may be as frequent as they like.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        """`check` runs the model in the calling thread and raises what went wrong."""
        self._check = check
        self._run: asyncio.Task[None] | None = None

    async def require(self) -> None:
        """Return once the model has run; raises what went wrong, and has it run again next time."""
        if self._run is None or _failed(self._run):
            self._run = asyncio.create_task(anyio.to_thread.run_sync(self._check))
        await asyncio.shield(self._run)


def _failed(run: asyncio.Task[None]) -> bool:
    return run.done() and (run.cancelled() or run.exception() is not None)
