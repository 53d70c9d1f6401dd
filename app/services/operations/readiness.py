"""Readiness: checks whether the service can answer now, for health checks."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from app.catalog import Catalog
from app.catalog.errors import DATABASE_ERRORS
from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerEndpoint, WorkerError

_TIMEOUT_S = 3.0
_TRUSTED_S = 60.0  # how long an answer of the model speaks for the next one
_PATIENCE_S = 2.0  # with a run of the model, below what a whole check may take
_COLLECTIONS_LOOKED_AT = 200
_NAMED = 5
_CHECKS_AT_ONCE = 2  # of each dependency


@dataclass(frozen=True, slots=True)
class Check:
    """What one dependency said."""

    ok: bool
    detail: str


class Readiness:
    """Checks every dependency at once, in threads of its own, and never waits longer than 3 s."""

    def __init__(
        self, catalog: Catalog, worker: WorkerClient, data_dir: Path, min_free_bytes: int
    ) -> None:
        self._catalog = catalog
        self._worker = worker
        self._models = {each.name: _ModelCheck(each) for each in worker.endpoints}
        self._data_dir = data_dir
        self._min_free_bytes = min_free_bytes
        # Not the shared pool: a probe must answer while every other thread waits for a worker.
        self._threads = anyio.CapacityLimiter(_CHECKS_AT_ONCE * (2 + len(self._models)))

    async def checks(self) -> Mapping[str, Check]:
        """The state of each dependency by name."""
        found: dict[str, Check] = {}
        workers: dict[str, Check] = {}
        async with anyio.create_task_group() as group:
            group.start_soon(self._run, "catalog", self._check_catalog, found)
            group.start_soon(self._run, "disk", self._check_disk, found)
            for name, model in self._models.items():
                group.start_soon(self._run, name, model.check, workers)
        worker = self._any_of(workers)
        if worker.ok and found["catalog"].ok:
            library: dict[str, Check] = {}
            await self._run("library", self._check_library, library)
            if library["library"].detail:
                detail = f"{worker.detail}; {library['library'].detail}"
                worker = Check(library["library"].ok, detail)
        return {**found, "worker": worker}

    async def _run(self, name: str, check: Callable[[], Check], found: dict[str, Check]) -> None:
        found[name] = Check(False, f"no answer within {_TIMEOUT_S:g} s")
        with anyio.move_on_after(_TIMEOUT_S):
            found[name] = await anyio.to_thread.run_sync(
                check, limiter=self._threads, abandon_on_cancel=True
            )

    def _any_of(self, workers: Mapping[str, Check]) -> Check:
        """The check of the only worker, or of several, of which one that works is enough."""
        if len(workers) == 1:
            return next(iter(workers.values()))
        details = [f"{name}: {check.detail}" for name, check in sorted(workers.items())]
        models = dict.fromkeys(self._worker.known_models())
        if len(models) > 1:
            named = ", ".join(f"{model.name} ({model.fingerprint})" for model in models)
            details.append(f"the workers' models differ: {named}")
        return Check(any(check.ok for check in workers.values()), "; ".join(details))

    def _check_catalog(self) -> Check:
        try:
            self._catalog.ping()
        except DATABASE_ERRORS as error:
            return Check(False, f"the database does not answer ({type(error).__name__})")
        return Check(True, "answers")

    def _check_library(self) -> Check:
        """Whether the models known so far are those that the collections were built with."""
        models = {model.fingerprint for model in self._worker.known_models()}
        if not models:
            return Check(True, "")
        try:
            found = self._catalog.list_collections(limit=_COLLECTIONS_LOOKED_AT).items
        except DATABASE_ERRORS:  # as the catalog's own check says
            return Check(True, "")
        built = [each for each in found if each.fingerprint is not None]
        others = [each.name for each in built if each.fingerprint not in models]
        if not others:
            return Check(True, "")
        named = ", ".join(others[:_NAMED]) + (", …" if len(others) > _NAMED else "")
        detail = f"built with another model, or its files are damaged: {named}"
        return Check(len(others) < len(built), detail)

    def _check_disk(self) -> Check:
        try:
            free = shutil.disk_usage(self._data_dir).free
        except OSError as error:
            return Check(False, f"the data folder cannot be read ({type(error).__name__})")
        return Check(free >= self._min_free_bytes, f"{free >> 20} MiB free")


class _ModelCheck:
    """Has a worker's model run when it is not known that it can, never twice at the same time.

    It is in doubt when it has answered no call for a while, or an answer has failed. An ingest may
    keep it busy for longer than a probe waits: a model that ran before is trusted until the
    requested run has ended.
    """

    def __init__(self, worker: WorkerEndpoint) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._run: threading.Thread | None = None
        self._began = 0.0
        self._failure: str | None = "The model has not run yet."

    def check(self) -> Check:
        """Whether the worker's model works; waits for up to `_PATIENCE_S` to find out."""
        try:
            facts = self._worker.facts()
        except WorkerError as error:
            return Check(False, error.message)
        run = self._begin()
        if run is not None:
            run.join(_PATIENCE_S)
        if self._failure is not None:
            return Check(False, self._failure)
        runs = f"runs {facts.name}" if facts.ingests else f"runs {facts.name}, ingests no videos"
        if run is not None and run.is_alive():
            return Check(True, f"{runs}, busy for {time.monotonic() - self._began:.0f} s")
        return Check(True, runs)

    def _begin(self) -> threading.Thread | None:
        """The run that is going on, begun now if the model is in doubt."""
        with self._lock:
            if self._run is not None and self._run.is_alive():
                return self._run
            if self._worker.quiet_s() <= _TRUSTED_S:
                self._failure = None
                return None
            self._began = time.monotonic()
            self._run = threading.Thread(target=self._run_model, name="model-check", daemon=True)
            self._run.start()
            return self._run

    def _run_model(self) -> None:
        try:
            self._worker.check()
        except WorkerError as error:
            self._failure = f"The model does not run: {error.message}"
        else:
            self._failure = None
