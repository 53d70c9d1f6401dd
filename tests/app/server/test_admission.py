"""Admission: costly requests in their turn, refused at once, and light ones never in a line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.catalog import Catalog
from app.catalog.backlog import Backlog
from app.clock import SystemClock
from app.main import create_app
from app.route_table import Cost, policy_of
from app.security.access_table import Policy
from app.server.admission import BODIES_BYTES, AdmissionControl, threads_needed
from app.settings import Settings
from app.telemetry.metrics import Metrics
from tests.app.stack import SEARCH, VIDEOS, assert_problem, open_stack
from xclip.encoder import Encoder

C = "/v1/collections/default"
POLICY = Policy(create_app(Settings()).routes)


def test_the_routes_that_cost_are_known_by_name() -> None:
    """The classes speak of routes that exist, and a new route is light until somebody says so."""
    document = create_app(Settings()).openapi()
    found: dict[Cost, set[tuple[str, str]]] = {cost: set() for cost in Cost}
    for path, operations in document["paths"].items():
        for method in operations:
            row = policy_of(method.upper(), path)
            assert row is not None
            found[row.cost].add((method.upper(), path))
    collection = "/v1/collections/{collection}"
    assert found[Cost.QUERY] == {
        ("POST", f"{collection}/search"),
        ("POST", f"{collection}/search:batch"),
        ("POST", f"{collection}/classify"),
        ("GET", f"{collection}/videos/{{video_id}}/heatmap"),
        ("POST", "/v1/embeddings"),
    }
    assert found[Cost.CLIP] == {
        ("GET", f"{collection}/videos/{{video_id}}/clip"),
        ("POST", f"{collection}/search:clip"),
        ("POST", "/v1/classify"),
    }
    assert found[Cost.UPLOAD] >= {("POST", f"{collection}/videos")}
    assert ("GET", "/readyz") in found[Cost.LIGHT]


@dataclass
class Inner:
    """An application whose requests end when told; counts those at work."""

    at_work: int = 0
    most: int = 0
    served: int = 0
    bodies: list[bytes] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        try:
            body = b""
            while True:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body"):
                    break
            self.bodies.append(body)
            if not scope["path"].startswith("/livez"):
                await self.go.wait()
        finally:
            self.at_work -= 1
        self.served += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


class Asking:
    """Requests to the layer as the server makes them."""

    def __init__(self, **choices: Any) -> None:
        self.inner = Inner()
        self.backlog = Backlog(0, 0, None)
        settings = Settings(**{"max_query_wait_s": 600.0, **choices})
        self.layer = AdmissionControl(self.inner, settings, SystemClock(), Metrics())

    def ask(self, path: str, method: str = "POST", body: tuple[bytes, ...] = (b"{}",)) -> Client:
        return Client(self, path, method, body)


class Client:
    """One request in a task of its own."""

    def __init__(self, asking: Asking, path: str, method: str, body: tuple[bytes, ...]) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        for number, piece in enumerate(body, 1):
            more = number < len(body) or piece == b"..."
            self.incoming.put_nowait({"type": "http.request", "body": piece, "more_body": more})
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        services = SimpleNamespace(catalog=SimpleNamespace(backlog=lambda: asking.backlog))
        entrance = POLICY.entrance(method, path)
        assert entrance is not None
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [],
            "state": {
                "request_id": "req_1",
                "parts": services,
                "route_policy": entrance.policy,
            },
        }
        self.task = asyncio.create_task(asking.layer(scope, self.incoming.get, self.send))

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])

    def vanish(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})


@asynccontextmanager
async def settled() -> AsyncIterator[None]:
    """What was begun within the block has come as far as it can."""
    yield
    for _ in range(50):  # rounds of the loop, however long each takes; some wait for a thread
        await asyncio.sleep(0.001)


def test_queries_wait_in_line_and_light_requests_do_not() -> None:
    """Two at work, three in line, and a probe is answered meanwhile."""

    async def scenario() -> None:
        asking = Asking(max_queries=2)
        async with settled():
            clients = [asking.ask(f"{C}/search") for _ in range(5)]
        assert asking.inner.at_work == 2
        probe = asking.ask("/livez", "GET", (b"",))
        await probe.task
        assert probe.status == 200
        asking.inner.go.set()
        await asyncio.gather(*(client.task for client in clients))
        assert [client.status for client in clients] == [200] * 5
        assert asking.inner.most <= 3
        assert asking.inner.bodies.count(b"{}") == 5

    asyncio.run(scenario())


def test_a_client_that_vanishes_in_line_is_not_worked_for() -> None:
    """Its place goes to the next one, and the application never hears of it."""

    async def scenario() -> None:
        asking = Asking(max_queries=1)
        async with settled():
            clients = [asking.ask(f"{C}/search") for _ in range(3)]
        async with settled():
            clients[1].vanish()
        assert clients[1].task.done()
        asking.inner.go.set()
        await asyncio.gather(clients[0].task, clients[2].task)
        assert asking.inner.served == 2

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "method"), [("search", "POST"), ("search:clip", "POST"), ("videos", "POST")]
)
def test_no_class_waits_longer_than_its_longest_wait(
    path: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those at work hang: whoever waits hears 503 and when to come again, in time."""
    monkeypatch.setattr("app.server.admission.TRANSFER_WAIT_S", 0.1)

    async def scenario() -> None:
        asking = Asking(max_queries=1, max_clips=1, max_uploads=1, max_query_wait_s=0.1)
        async with settled():
            hanging = asking.ask(f"{C}/{path}", method)
        waiting = asking.ask(f"{C}/{path}", method)
        await asyncio.wait_for(waiting.task, 60)
        assert (waiting.status, asking.inner.at_work) == (503, 1)
        assert waiting.headers[b"retry-after"] == b"1"
        asking.inner.go.set()
        await hanging.task
        assert hanging.status == 200

    asyncio.run(scenario())


def test_a_slow_body_holds_no_place() -> None:
    """Who sends a query slowly waits alone."""

    async def scenario() -> None:
        asking = Asking(max_queries=1)
        asking.inner.go.set()
        async with settled():
            slow = asking.ask(f"{C}/search", body=(b"...",))
        quick = asking.ask(f"{C}/search")
        await quick.task
        assert quick.status == 200
        slow.incoming.put_nowait({"type": "http.request", "body": b"end", "more_body": False})
        await slow.task
        assert asking.inner.bodies == [b"{}", b"...end"]

    asyncio.run(scenario())


def test_bodies_in_flight_are_bounded_together() -> None:
    """Many large bodies at once are refused, and what they took is given back."""

    async def scenario() -> None:
        asking = Asking()
        piece = bytes(15 << 20)
        count = BODIES_BYTES // len(piece) + 1
        async with settled():
            clients = [asking.ask(f"{C}/classify", body=(piece, b"...")) for _ in range(count)]
        assert [client.status for client in clients] == [0, 0, 0, 0, 503]
        async with settled():
            for client in clients:
                client.vanish()
        assert all(client.task.done() for client in clients)
        assert asking.layer._bodies_bytes == 0

    asyncio.run(scenario())


def test_uploads_are_refused_while_the_queue_is_full() -> None:
    """429 and when to come again: before the body, and only for what would add a job."""

    async def scenario() -> None:
        asking = Asking(max_queue_wait_s=100)
        asking.inner.go.set()
        asking.backlog = Backlog(queued=30, running=2, seconds_per_job=10.0)
        refused = asking.ask(f"{C}/videos", body=(b"...",))
        await refused.task
        assert (refused.status, refused.headers[b"retry-after"]) == (429, b"50")
        assert refused.incoming.qsize() == 1
        going_on = asking.ask("/v1/uploads/upl_1", "PATCH")
        await going_on.task
        assert going_on.status == 200

    asyncio.run(scenario())


def test_the_number_of_waiting_jobs_has_a_limit_of_its_own() -> None:
    """Also while nobody knows yet how long a job takes."""

    async def scenario() -> None:
        asking = Asking(max_queued_jobs=5)
        asking.inner.go.set()
        asking.backlog = Backlog(queued=5, running=0, seconds_per_job=None)
        refused = asking.ask(f"{C}/videos")
        await refused.task
        assert (refused.status, refused.headers[b"retry-after"]) == (429, b"1")

    asyncio.run(scenario())


def test_the_catalog_knows_the_backlog(tmp_path: Path) -> None:
    """Jobs that wait and run, and what those that succeeded took."""
    with Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite") as catalog:
        assert catalog.backlog() == Backlog(0, 0, None)
        assert catalog.backlog().wait_s == 0
    assert Backlog(queued=30, running=0, seconds_per_job=2.0).wait_s == 60
    assert Backlog(queued=30, running=3, seconds_per_job=2.0).wait_s == 20


def test_there_are_threads_for_light_requests() -> None:
    """Whatever the classes may hold at once, more threads than that exist."""
    settings = Settings(max_queries=64, max_clips=64, max_uploads=256)
    assert threads_needed(settings) > 64 + 64 + 256


def test_a_refusal_of_the_whole_service_is_a_problem(tmp_path: Path, encoder: Encoder) -> None:
    """Through all layers: with its request's id and a time, and light requests go on."""
    with open_stack(tmp_path, encoder) as stack:
        layer: Any = stack.api.app.middleware_stack
        while not isinstance(layer, AdmissionControl):
            layer = getattr(layer, "app", None) or layer._app
        limiter = layer._limiters[Cost.QUERY]
        limiter._working, limiter._request_s = 1000, 1000.0
        answer = stack.api.post(SEARCH, json={"text": "a red circle"})
        assert_problem(answer, 503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert stack.api.get(VIDEOS).status_code == 200
        limiter._working, limiter._request_s = 0, 0.0
        assert stack.api.post(SEARCH, json={"text": "a red circle"}).status_code == 200
