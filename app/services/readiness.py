"""Whether what the service leans on works now: catalog, worker, disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from app.catalog import Catalog
from app.problems import DATABASE_ERRORS
from app.worker.client import WorkerClient, WorkerError

_TIMEOUT_S = 3.0
_CHECKS_AT_ONCE = 6


@dataclass(frozen=True, slots=True)
class Check:
    """What one dependency said."""

    ok: bool
    detail: str


class Readiness:
    """Asks every dependency at once, in threads of its own, and never waits longer than 3 s."""

    def __init__(
        self, catalog: Catalog, worker: WorkerClient, data_dir: Path, min_free_bytes: int
    ) -> None:
        self._catalog = catalog
        self._worker = worker
        self._data_dir = data_dir
        self._min_free_bytes = min_free_bytes
        # Not the shared pool: a probe must answer while every other thread waits for a worker.
        self._threads = anyio.CapacityLimiter(_CHECKS_AT_ONCE)

    async def checks(self) -> Mapping[str, Check]:
        """The state of each dependency by name."""
        found: dict[str, Check] = {}
        async with anyio.create_task_group() as group:
            for name, check in (
                ("catalog", self._check_catalog),
                ("worker", self._check_worker),
                ("disk", self._check_disk),
            ):
                group.start_soon(self._run, name, check, found)
        return found

    async def _run(self, name: str, check: Callable[[], Check], found: dict[str, Check]) -> None:
        found[name] = Check(False, f"no answer within {_TIMEOUT_S:g} s")
        with anyio.move_on_after(_TIMEOUT_S):
            found[name] = await anyio.to_thread.run_sync(
                check, limiter=self._threads, abandon_on_cancel=True
            )

    def _check_catalog(self) -> Check:
        try:
            self._catalog.ping()
        except DATABASE_ERRORS as error:
            return Check(False, f"the database does not answer ({type(error).__name__})")
        return Check(True, "answers")

    def _check_worker(self) -> Check:
        try:
            return Check(True, f"runs {self._worker.facts().name}")
        except WorkerError as error:
            return Check(False, error.message)

    def _check_disk(self) -> Check:
        try:
            free = shutil.disk_usage(self._data_dir).free
        except OSError as error:
            return Check(False, f"the data folder cannot be read ({type(error).__name__})")
        return Check(free >= self._min_free_bytes, f"{free >> 20} MiB free")
