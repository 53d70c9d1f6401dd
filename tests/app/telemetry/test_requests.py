"""Request ids and metrics, also for requests that fail."""

from __future__ import annotations

import logging

import anyio
import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient
from starlette.types import Send

from app.routes.error_responses import add_error_responses
from app.telemetry.metrics import Metrics
from app.telemetry.requests import Telemetry
from tests.app.stack import assert_problem


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def client(metrics: Metrics) -> TestClient:
    app = FastAPI()
    app.add_middleware(Telemetry, metrics=metrics)
    add_error_responses(app)

    @app.get("/things/{thing}")
    async def get_thing(thing: str) -> str:
        if thing == "bug":
            raise RuntimeError("a secret of the program")
        if thing == "gone":
            raise ClientDisconnect
        return thing

    return TestClient(app, raise_server_exceptions=False)


def count(metrics: Metrics, status: str, route: str = "/things/{thing}", method: str = "GET"):
    labels = {"method": method, "route": route, "status": status}
    return metrics.registry.get_sample_value("xclip_http_requests_total", labels)


def test_every_answer_has_an_id_of_its_own(client: TestClient):
    """Two requests, two ids, in the header."""
    ids = {client.get("/things/a").headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("given", "taken"),
    [("trace-1.a_B", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("é", False)],
)
def test_a_callers_id_is_taken_over_when_harmless(client: TestClient, given: str, taken: bool):
    """Short plain ids are kept; anything else is replaced."""
    headers = {"x-request-id": given.encode("latin-1")}
    assert (client.get("/things/a", headers=headers).headers["x-request-id"] == given) is taken


def test_a_bug_is_a_problem_that_says_nothing_but_its_id(
    client: TestClient, metrics: Metrics, caplog: pytest.LogCaptureFixture
):
    """The caller gets the id, the log gets id and traceback, the metrics count a 500."""
    with caplog.at_level(logging.ERROR, logger="app.requests"):
        body = assert_problem(client.get("/things/bug"), 500, "internal_error")
    assert "secret" not in str(body)
    assert body["request_id"] in caplog.text
    assert "a secret of the program" in caplog.text
    assert count(metrics, "500") == 1


def test_requests_are_counted_by_template(client: TestClient, metrics: Metrics):
    """However many ids are asked for, it is one time series."""
    for thing in "abc":
        client.get(f"/things/{thing}")
    assert count(metrics, "200") == 3


def test_invented_paths_and_methods_make_no_new_series(client: TestClient, metrics: Metrics):
    """What a client makes up is counted under one label."""
    client.get("/nothing/here")
    client.request("BREW", "/nothing/there")
    assert count(metrics, "404", route="none") == 1
    assert count(metrics, "404", route="none", method="other") == 1


def test_a_client_that_left_is_no_error(
    client: TestClient, metrics: Metrics, caplog: pytest.LogCaptureFixture
):
    """An aborted request is counted apart and logs no traceback."""
    with pytest.raises(AssertionError):  # the test client misses its answer
        TestClient(client.app).get("/things/gone")
    assert count(metrics, "499") == 1
    assert "Traceback" not in caplog.text


def test_what_is_no_http_request_is_passed_on(metrics: Metrics) -> None:
    """The server's start-up message is neither counted nor given an id."""
    seen: list[dict[str, object]] = []

    async def app(scope: dict[str, object], _receive: object, _send: object) -> None:
        seen.append(scope)

    scope = {"type": "lifespan"}
    anyio.run(Telemetry(app, metrics), scope, None, None)  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]


def test_the_seconds_of_a_request_are_those_of_the_clock(metrics: Metrics) -> None:
    """From its head to the end of its answer, under the template of its route."""
    times = iter([10.0, 12.5])
    app = FastAPI()
    app.add_middleware(Telemetry, metrics=metrics, clock=lambda: next(times))

    @app.get("/things/{thing}")
    async def get_thing(thing: str) -> str:
        return thing

    TestClient(app).get("/things/a")
    labels = {"method": "GET", "route": "/things/{thing}"}
    read = metrics.registry.get_sample_value
    assert read("xclip_http_request_seconds_sum", labels) == 2.5
    assert read("xclip_http_request_seconds_count", labels) == 1


def test_a_request_is_logged_once_with_its_fields(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A collector can filter by method, route and status without parsing the message."""
    with caplog.at_level(logging.DEBUG, logger="app.requests"):
        client.get("/things/a")
    (record,) = caplog.records
    fields = dict(record.fields)  # type: ignore[attr-defined]
    assert fields.pop("seconds") >= 0
    assert fields == {"method": "GET", "route": "/things/{thing}", "status": 200}


def test_a_bug_in_half_an_answer_cuts_the_connection(metrics: Metrics) -> None:
    """A second status after the first would be a broken answer; the count keeps the first."""

    async def app(_scope: object, _receive: object, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        TestClient(Telemetry(app, metrics)).get("/")
    assert count(metrics, "200", route="none") == 1
