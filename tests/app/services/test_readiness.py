"""Readiness: every dependency asked, none waited for too long."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import anyio
import httpx
import pytest

from app.services.readiness import Readiness
from app.worker.client import WorkerClient
from app.worker.door import SECRET
from tests.app.stack import Stack


def test_a_dependency_that_hangs_is_reported_in_time(stack: Stack, monkeypatch: pytest.MonkeyPatch):
    """A worker that takes the connection and says nothing does not hold the answer up."""
    monkeypatch.setattr("app.services.readiness._TIMEOUT_S", 0.2)
    release = threading.Event()

    def hang(_: httpx.Request) -> httpx.Response:
        release.wait(10)
        return httpx.Response(500)

    worker = WorkerClient("http://worker", secret=b"any", transport=httpx.MockTransport(hang))
    readiness = Readiness(stack.catalog, worker, stack.settings.data_dir, 0)
    started = time.monotonic()
    checks = anyio.run(readiness.checks)
    release.set()
    assert time.monotonic() - started < 2
    assert {name: check.ok for name, check in checks.items()} == {
        "catalog": True,
        "worker": False,
        "disk": True,
    }
    assert checks["worker"].detail == "no answer within 0.2 s"


def test_a_data_folder_that_is_gone_is_reported(stack: Stack, tmp_path: Path):
    """Without its folder the service is not ready."""
    client = WorkerClient(
        "http://worker", secret=stack.catalog.secret(SECRET), transport=stack.worker
    )
    readiness = Readiness(stack.catalog, client, tmp_path / "none", 0)
    checks = anyio.run(readiness.checks)
    assert [name for name, check in checks.items() if not check.ok] == ["disk"]
