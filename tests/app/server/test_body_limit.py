"""How many bytes a request may send."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from app.route_table import JSON_BODY_BYTES
from app.routes.error_responses import add_error_responses
from app.server.body_limit import BodyLimit
from app.telemetry.metrics import Metrics
from app.telemetry.requests import Telemetry
from tests.app.stack import assert_problem


def make_client() -> TestClient:
    app = FastAPI()
    app.add_middleware(BodyLimit)
    app.add_middleware(Telemetry, metrics=Metrics())
    add_error_responses(app)

    @app.post("/length")
    async def length(request: Request) -> int:
        return len(await request.body())

    @app.post("/more")
    async def more(request: Request) -> int:
        request.state.body.max_bytes = 2 * JSON_BODY_BYTES
        return len(await request.body())

    @app.post("/json")
    async def json(body: list[str]) -> int:
        return len(body)

    return TestClient(app, raise_server_exceptions=False)


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 1024):
        yield b"x" * 1024


def test_a_body_at_the_limit_passes_and_one_byte_more_is_a_413():
    """The declared length decides before anything is read."""
    client = make_client()
    assert client.post("/length", content=b"x" * JSON_BODY_BYTES).json() == JSON_BODY_BYTES
    over = client.post("/length", content=b"x" * (JSON_BODY_BYTES + 1))
    assert_problem(over, 413, "payload_too_large")


def test_a_body_of_undeclared_length_is_counted():
    """Chunks are counted as they come."""
    client = make_client()
    assert client.post("/length", content=chunks(JSON_BODY_BYTES)).json() == JSON_BODY_BYTES
    over = client.post("/length", content=chunks(JSON_BODY_BYTES + 1024))
    assert_problem(over, 413, "payload_too_large")


def test_a_parsed_body_is_limited_whatever_it_calls_itself():
    """FastAPI's own reading of the body runs into the same limit."""
    headers = {"content-type": "multipart/form-data; boundary=x"}
    over = make_client().post("/json", content=b"x" * (JSON_BODY_BYTES + 1), headers=headers)
    assert_problem(over, 413, "payload_too_large")


def test_a_route_may_allow_more():
    """A route raises its own request's allowance, and no other's."""
    client = make_client()
    assert client.post("/more", content=b"x" * 2 * JSON_BODY_BYTES).status_code == 200
    assert_problem(
        client.post("/more", content=b"x" * (2 * JSON_BODY_BYTES + 1)), 413, "payload_too_large"
    )
    assert client.post("/length", content=b"x" * (JSON_BODY_BYTES + 1)).status_code == 413
