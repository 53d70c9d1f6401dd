"""The service in this process, reached by a client through a network that can be made to fail."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio.to_thread
import httpx
import pytest

from tests.app.conftest import checkpoint, encoder, make_clip
from tests.app.stack import HERE, Stack, library, stack
from xclip_search import AsyncClient, Client

__all__ = ["checkpoint", "encoder", "library", "make_clip", "stack"]

Fault = Callable[[httpx.Request, Callable[[httpx.Request], httpx.Response]], httpx.Response | None]


@dataclass
class Network(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Carries requests to the application; `faults` are asked first, each once, in order.

    A fault gets the request and the way on, and returns None where it does nothing.
    """

    stack: Stack
    requests: list[httpx.Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        request.read()
        self.requests.append(request)
        for fault in self.faults:
            answer = fault(request, self.deliver)
            if answer is not None:
                self.faults.remove(fault)
                return answer
        return self.deliver(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The same, off the event loop."""
        await request.aread()
        return await anyio.to_thread.run_sync(functools.partial(self.handle_request, request))

    def deliver(self, request: httpx.Request) -> httpx.Response:
        """Hand the request to the application."""
        answer = self.stack.api.request(
            request.method,
            request.url.raw_path.decode(),
            content=request.content,
            headers=dict(request.headers),
        )
        return httpx.Response(
            answer.status_code, headers=list(answer.headers.items()), content=answer.content
        )

    def sent(self, method: str) -> list[httpx.Request]:
        """The requests of that method so far."""
        return [request for request in self.requests if request.method == method]


@pytest.fixture
def network(stack: Stack) -> Network:
    """The way to an empty service."""
    return Network(stack)


@pytest.fixture
def client(network: Network) -> Client:
    """A client of an empty service."""
    return Client(HERE, transport=network)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client waited each time; it does not really."""
    waited: list[float] = []
    monkeypatch.setattr("xclip_search.clients.time.sleep", waited.append)
    return waited


def clients(stack: Stack) -> tuple[Client, AsyncClient]:
    """One of each kind."""
    network = Network(stack)
    return Client(HERE, transport=network), AsyncClient(HERE, transport=network)
