"""Authentication middleware: refuses before the body is read, and hands the caller on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from app.catalog import Catalog
from app.route_table import ROUTE_TABLE
from app.security.api_keys import create_key
from app.security.authentication import Authenticator
from app.security.middleware import AuthMiddleware
from app.security.principal import ANONYMOUS, Principal
from app.settings import Settings
from tests.app.catalog.samples import HandClock

JOBS = "/v1/jobs"
SMALL = 64 << 10


async def _unused(_: object) -> PlainTextResponse:
    return PlainTextResponse("")


ROUTES = [
    Route("/livez", _unused, methods=["GET"]),
    Route(JOBS, _unused, methods=["GET"]),
    Route("/v1/collections/{collection}", _unused, methods=["PUT"]),
    Route("/v1/collections/{collection}", _unused, methods=["DELETE"]),
]


@dataclass
class Layer:
    """The middleware before an application that keeps what reaches it."""

    authenticator: Authenticator
    reached: list[Scope] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._middleware = AuthMiddleware(self._inner)

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope)

    def ask(
        self, method: str, path: str, *headers: tuple[str, str], **scope: object
    ) -> tuple[int, Headers] | None:
        """Status and headers of a refusal; None if the request reached the application."""
        sent: list[Message] = []
        raw = [(name.encode(), text.encode()) for name, text in (("host", "127.0.0.1"), *headers)]
        given = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": raw,
            "client": ("127.0.0.1", 1),
            "app": SimpleNamespace(routes=ROUTES),
            "state": {"authenticator": self.authenticator, "request_id": "req_1"},
            **scope,
        }

        async def receive() -> Message:
            raise AssertionError("the body is not the middleware's to read")

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(self._middleware(given, receive, send))
        self.sent = sent
        return (sent[0]["status"], Headers(raw=sent[0]["headers"])) if sent else None


@pytest.fixture
def keyless(catalog: Catalog, clock: HandClock) -> Layer:
    return Layer(Authenticator(catalog, clock, Settings()))


@pytest.fixture
def key(catalog: Catalog) -> str:
    return create_key(catalog, "a", "write")[1]


@pytest.fixture
def keyed(catalog: Catalog, clock: HandClock, key: str) -> Layer:
    return Layer(Authenticator(catalog, clock, Settings()))


def test_the_caller_and_the_row_are_handed_on(keyed: Layer, key: str) -> None:
    """What serves the request reads both from its state, and a stranger there is nobody."""
    assert keyed.ask("GET", JOBS, ("authorization", f"Bearer {key}")) is None
    caller = keyed.reached[0]["state"]["caller"]
    assert isinstance(caller, Principal)
    assert (caller.name, caller.scope) == ("a", "write")
    assert keyed.reached[0]["state"]["route_policy"] is ROUTE_TABLE["GET", JOBS]
    assert keyed.ask("GET", "/livez") is None
    assert keyed.reached[1]["state"]["caller"] is None


@pytest.mark.parametrize(
    ("headers", "closes"),
    [
        ([], False),
        ([("content-length", "0")], False),
        ([("content-length", str(SMALL))], False),
        ([("content-length", str(SMALL + 1))], True),
        ([("content-length", "0" * 30 + str(SMALL))], False),
        ([("content-length", "0" * 30 + str(SMALL + 1))], True),
        ([("content-length", "9" * 5000)], True),
        ([("transfer-encoding", "chunked")], True),
    ],
)
def test_a_refusal_ends_the_connection_of_a_large_body(
    keyed: Layer, headers: list[tuple[str, str]], closes: bool
) -> None:
    """A small one has come already or may; of any other the rest is not taken."""
    refused = keyed.ask("PUT", "/v1/collections/a", *headers)
    assert refused is not None
    assert refused[0] == 401
    assert (refused[1].get("connection") == "close") == closes
    assert keyed.reached == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", JOBS, "GET, HEAD"),
        ("GET", "/v1/collections/a", "DELETE, PUT"),
        ("PATCH", "/v1/collections/a", "DELETE, PUT"),
    ],
)
def test_a_method_that_no_route_has_is_told_all_that_have_one(
    keyless: Layer, method: str, path: str, allowed: str
) -> None:
    """Of every route at the path, not of the first one alone."""
    refused = keyless.ask(method, path)
    assert refused is not None
    assert (refused[0], refused[1]["allow"]) == (405, allowed)


def test_strangers_do_not_learn_which_routes_there_are(keyed: Layer) -> None:
    """Without a key the answer is the same for a wrong method, a wrong path and a right one."""
    found = [keyed.ask(*each) for each in (("POST", JOBS), ("GET", "/none"), ("GET", JOBS))]
    assert [refused and refused[0] for refused in found] == [401, 401, 401]


def test_a_path_without_a_route_is_the_routers_to_answer(keyless: Layer) -> None:
    """Whoever may enter gets the application's own 404."""
    assert keyless.ask("GET", "/none") is None
    assert keyless.reached[0]["state"]["caller"] == ANONYMOUS
    assert "route_policy" not in keyless.reached[0]["state"]


def test_a_client_without_an_address_is_served(keyed: Layer, key: str) -> None:
    """A server on a Unix socket names none; wrong keys from there are counted together."""
    assert keyed.ask("GET", JOBS, ("authorization", f"Bearer {key}"), client=None) is None
    found = [keyed.ask("GET", JOBS, ("authorization", "x"), client=None) for _ in range(31)]
    assert [refused and refused[0] for refused in found] == [401] * 30 + [429]


def test_no_other_protocol_comes_through(keyless: Layer) -> None:
    """There is no policy for WebSockets, so each is closed; start and end are no requests."""
    assert keyless._middleware is not None
    with pytest.raises(KeyError):  # no answer of HTTP
        keyless.ask("GET", JOBS, type="websocket")
    assert keyless.reached == []
    assert keyless.ask("GET", JOBS, type="lifespan") is None
    assert [scope["type"] for scope in keyless.reached] == ["lifespan"]


def test_a_catalog_that_is_away_is_a_503(tmp_path: Path, clock: HandClock) -> None:
    """Nobody can say who may enter, so nobody does, but for the probes."""
    path = tmp_path / "gone.sqlite"
    with Catalog.open(f"sqlite:///{path}", clock=clock) as catalog:
        layer = Layer(Authenticator(catalog, clock, Settings()))
    for each in tmp_path.iterdir():
        each.unlink()
    path.mkdir()
    clock.advance(2)
    refused = layer.ask("GET", JOBS)
    assert refused is not None
    assert refused[0] == 503
    assert layer.ask("GET", "/livez") is None
