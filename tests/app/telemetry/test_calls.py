"""Call telemetry: each call to the worker is counted, timed and logged once."""

from __future__ import annotations

import logging

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.telemetry.calls import CallTelemetry
from app.telemetry.context import current_request_id
from app.telemetry.metrics import WorkerMetrics


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics()


@pytest.fixture
def client(metrics: WorkerMetrics) -> TestClient:
    async def answer(request: Request) -> PlainTextResponse:
        if "fail" in request.query_params:
            raise RuntimeError("no memory")
        return PlainTextResponse(str(current_request_id()), 201)

    app = Starlette(routes=[Route(path, answer) for path in ("/text", "/livez", "/other/{name}")])
    return TestClient(CallTelemetry(app, metrics), raise_server_exceptions=False)


def count(metrics: WorkerMetrics, call: str, status: int) -> float | None:
    labels = {"call": call, "status": str(status)}
    return metrics.registry.get_sample_value("xclip_worker_calls_total", labels)


def test_a_call_is_counted_and_timed_by_its_path(
    client: TestClient, metrics: WorkerMetrics
) -> None:
    """The status is the one that was sent."""
    for _ in range(3):
        client.get("/text")
    assert count(metrics, "/text", 201) == 3
    labels = {"call": "/text"}
    assert metrics.registry.get_sample_value("xclip_worker_call_seconds_count", labels) == 3


def test_unknown_paths_are_one_time_series(client: TestClient, metrics: WorkerMetrics) -> None:
    """A scan of the port does not fill the metrics."""
    for name in "abc":
        client.get(f"/other/{name}")
    client.get("/nothing")
    assert count(metrics, "other", 201) == 3
    assert count(metrics, "other", 404) == 1


def test_a_call_that_fails_is_counted(client: TestClient, metrics: WorkerMetrics) -> None:
    """A failure inside the worker shows in its metrics."""
    client.get("/text?fail=1")
    assert count(metrics, "/text", 500) == 1


@pytest.mark.parametrize(("headers", "seen"), [({"x-request-id": "req_7"}, "req_7"), ({}, "None")])
def test_work_is_done_for_the_request_that_the_call_names(
    client: TestClient, headers: dict[str, str], seen: str
) -> None:
    """The worker's lines carry the id of the API's request, and no other."""
    assert client.get("/text", headers=headers).text == seen


def test_probes_are_logged_for_debugging_only(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A check every few seconds does not bury the calls of the model."""
    with caplog.at_level(logging.DEBUG, logger="app.worker.calls"):
        client.get("/livez")
        client.get("/text")
    lines = [(one.levelname, one.fields["call"]) for one in caplog.records]  # type: ignore[attr-defined]
    assert lines == [("DEBUG", "/livez"), ("INFO", "/text")]
