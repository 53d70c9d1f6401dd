"""How many bytes a request may send."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from app.route_table import JSON_BODY_BYTES
from app.routes.error_responses import add_error_responses
from app.server.body_limit import BodyLimit
from app.telemetry.metrics import Metrics
from app.telemetry.requests import Telemetry
from tests.app.stack import VIDEOS, Stack, assert_problem


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


@pytest.mark.parametrize("path", ["/", "/docs", "/livez", "/static/app.js", "/v1/collections"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_body_past_the_limit_on_a_get_is_a_413_before_the_answer(
    stack: Stack, method: str, path: str
):
    """The declared length of a body that no handler reads is refused all the same."""
    answer = stack.api.request(method, path, content=b"x" * (JSON_BODY_BYTES + 1))
    assert answer.status_code == 413
    if method == "GET":
        assert_problem(answer, 413, "payload_too_large")


@pytest.mark.parametrize("path", ["/", "/docs", "/content"])
def test_an_answer_that_has_begun_is_not_cut_by_a_body_of_undeclared_length(
    library: Stack, path: str, caplog: pytest.LogCaptureFixture
):
    """A streamed file comes whole, however much its client sends meanwhile."""
    if path == "/content":
        path = f"{VIDEOS}/{library.api.get(VIDEOS).json()['items'][0]['id']}/content"
    whole = library.api.get(path).content
    answer = library.api.request("GET", path, content=chunks(2 * JSON_BODY_BYTES))
    assert (answer.status_code, answer.content) == (200, whole)
    assert not [record for record in caplog.records if record.exc_info]
