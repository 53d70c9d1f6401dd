"""Readiness: every dependency asked, none waited for too long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path

import anyio
import httpx
import pytest

from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerFailed
from app.model_api.messages import ModelFacts
from app.model_api.secret import SECRET
from app.services.operations.readiness import Check, Readiness
from tests.app.server.wire import ManualClockLoop, on_wire
from tests.app.stack import Stack


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks have all the time they need on a machine with other work."""
    monkeypatch.setattr("app.services.operations.readiness._TIMEOUT_S", 60.0)


def test_a_dependency_that_hangs_is_reported_in_time(stack: Stack):
    """A worker that takes the connection and says nothing does not hold the answer up."""
    hanging, release = threading.Event(), threading.Event()

    def hang(_: httpx.Request) -> httpx.Response:
        hanging.set()
        release.wait()
        return httpx.Response(500)

    worker = WorkerClient("http://worker", secret=b"any", transport=httpx.MockTransport(hang))
    readiness = Readiness(stack.catalog, worker, stack.settings.data_dir, 0)

    async def found_in_time() -> Mapping[str, Check]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ManualClockLoop)
        checks = asyncio.create_task(readiness.checks())
        while not hanging.is_set() or readiness._threads.borrowed_tokens > 1:
            await asyncio.sleep(0)  # until all but the worker have answered
        loop.now += 59.0
        for _ in range(10):
            await asyncio.sleep(0)
        assert not checks.done()
        loop.now += 1.0
        return await checks

    try:
        checks = on_wire(found_in_time)
    finally:
        release.set()
    assert {name: check.ok for name, check in checks.items()} == {
        "catalog": True,
        "worker": False,
        "disk": True,
    }
    assert checks["worker"].detail == "no answer within 60 s"


def test_a_data_folder_that_is_gone_is_reported(stack: Stack, tmp_path: Path):
    """Without its folder the service is not ready."""
    client = WorkerClient(
        "http://worker", secret=stack.catalog.secret(SECRET), transport=stack.worker
    )
    readiness = Readiness(stack.catalog, client, tmp_path / "none", 0)
    checks = anyio.run(readiness.checks)
    assert [name for name, check in checks.items() if not check.ok] == ["disk"]


class Model:
    """A worker whose model works, fails or hangs as the test says; counts what it is asked."""

    def __init__(self, *, status: int = 200) -> None:
        self.status = status
        self.runs = 0
        self.go = threading.Event()
        self.go.set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/model":
            facts = ModelFacts("tiny", "0f", 8, 32, 16, {}, 14.3, "cpu", "float32", 0, 1)
            return httpx.Response(200, content=facts.to_json())
        self.runs += 1
        assert self.go.wait(600)
        return httpx.Response(self.status, json={"code": "worker_failed", "message": "no memory"})


class At:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> At:
    return At()


def readiness_of(stack: Stack, model: Model, clock: At) -> tuple[Readiness, WorkerClient]:
    transport = httpx.MockTransport(model)
    worker = WorkerClient("http://worker", secret=b"any", transport=transport, clock=clock)
    return Readiness(stack.catalog, worker, stack.settings.data_dir, 0), worker


def test_the_model_runs_when_in_doubt_and_not_at_every_probe(stack: Stack, clock: At):
    """Once at the start; then again only after a minute in which it answered nobody."""
    model = Model()
    readiness, worker = readiness_of(stack, model, clock)
    for _ in range(3):
        assert anyio.run(readiness.checks)["worker"].ok
    assert model.runs == 1
    clock.now = 50.0
    worker.endpoints[0].check()  # somebody's search, as far as the client can tell
    clock.now = 100.0
    assert anyio.run(readiness.checks)["worker"].ok
    assert model.runs == 2
    clock.now = 111.0
    assert anyio.run(readiness.checks)["worker"].ok
    assert model.runs == 3


def test_a_model_that_fails_is_asked_again_until_it_works(stack: Stack, clock: At):
    """The process answers, its model does not: not ready, and ready again without a restart."""
    model = Model(status=500)
    readiness, worker = readiness_of(stack, model, clock)
    check = anyio.run(readiness.checks)["worker"]
    assert (check.ok, check.detail) == (False, "The model does not run: no memory")
    model.status = 200
    assert anyio.run(readiness.checks)["worker"].ok
    model.status = 500
    with pytest.raises(WorkerFailed):
        worker.encode_text(["red"])  # a failure that somebody else has seen
    assert not anyio.run(readiness.checks)["worker"].ok


def test_a_busy_model_that_has_worked_is_trusted(
    stack: Stack, clock: At, monkeypatch: pytest.MonkeyPatch
):
    """An ingest that takes its time must not take the service out of rotation; a start has to."""
    monkeypatch.setattr("app.services.operations.readiness._PATIENCE_S", 0.1)
    model = Model()
    readiness, _ = readiness_of(stack, model, clock)
    model.go.clear()
    assert anyio.run(readiness.checks)["worker"].detail == "The model has not run yet."
    model.go.set()
    while not anyio.run(readiness.checks)["worker"].ok:
        pass
    clock.now = 100.0
    model.go.clear()
    check = anyio.run(readiness.checks)["worker"]
    model.go.set()
    assert check.ok
    assert check.detail.startswith("runs tiny, busy for")


def test_the_real_model_runs_for_a_real_check(stack: Stack):
    """Text, video and score: /readyz of a fresh service has the worker do all three."""
    assert stack.api.get("/readyz").status_code == 200
    assert stack.worker.requests.count("/check") == 1
    stack.api.get("/readyz")
    assert stack.worker.requests.count("/check") == 1
