"""Test server: the HTTP protocol on real sockets, in an event loop whose clock the test moves.

Only the loop's time stands still until `Wire.pass_time` moves it, so a timeout of a minute is
tested in a millisecond, and never early or late.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from app.server.http_protocol import GuardedProtocol
from app.server.listener import server_config
from app.settings import Settings

T = TypeVar("T")
TICK_S = 0.25
LIMITS: dict[str, Any] = {
    "head_timeout_s": 2.0,
    "body_timeout_s": 2.0,
    "body_bytes_per_s": 50,
    "answer_timeout_s": 4.0,
    "keep_alive_s": 3.0,
}


class ManualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still until a test moves it."""

    now = 1000.0

    def time(self) -> float:
        """Seconds, as last set."""
        return self.now


class App:
    """Answers with the path and the length of the body.

    /wait… does not begin before `go`; /listen… waits for `go` while it listens for a hang-up;
    /early… answers without reading the body; /big answers with 24 MB.
    """

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun: list[str] = []
        self.gone: list[str] = []
        self.headers: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.begun.append(path)
        if path.startswith("/wait"):
            await self.go.wait()
        length = 0
        while not path.startswith("/early"):
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone.append(path)
                return
            length += len(message["body"])
            if not message["more_body"]:
                break
        self.headers = [name for name, _ in scope["headers"]]
        if path.startswith("/listen"):
            listening, going = (
                asyncio.ensure_future(receive()),
                asyncio.ensure_future(self.go.wait()),
            )
            await asyncio.wait((listening, going), return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                self.gone.append(path)
            listening.cancel()
            going.cancel()
        body = b"x" * (24 << 20) if path == "/big" else f"{path} {length}".encode()
        declared = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": declared})
        await send({"type": "http.response.body", "body": body})


class Wire:
    """One server and its clients, all in the running loop."""

    def __init__(self, app: ASGIApp, **choices: Any) -> None:
        config = server_config(app, Settings(**{**LIMITS, **choices}))
        config.load()
        self.served: list[GuardedProtocol] = []
        self._config, self._state = config, ServerState()
        self._loop: ManualClockLoop = asyncio.get_running_loop()  # type: ignore[assignment]
        self._clients: list[Client] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await self._loop.create_server(self._protocol, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for client in self._clients:
            client.socket.close()
        for protocol in self.served:
            protocol.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
        await self.settle()

    def _protocol(self) -> GuardedProtocol:
        kind = self._config.http_protocol_class
        self.served.append(kind(self._config, self._state, {}))  # type: ignore[call-arg, arg-type]
        return self.served[-1]

    async def connect(
        self, *, buffer_bytes: int | None = None, source: str = "127.0.0.1"
    ) -> Client:
        """A client whose connection the server has accepted."""
        assert self._server is not None
        number = len(self.served)
        client = socket.socket()
        if buffer_bytes is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        client.bind((source, 0))
        client.setblocking(False)
        await self._loop.sock_connect(client, self._server.sockets[0].getsockname())
        await self.until(
            lambda: len(self.served) > number and self.served[number].transport is not None
        )
        self._clients.append(Client(self, client, self.served[number]))
        return self._clients[-1]

    async def pass_time(self, seconds: float) -> None:
        """Move the clock tick by tick, so that each timer runs when it is due."""
        for _ in range(round(seconds / TICK_S)):
            self._loop.now += TICK_S
            await self.settle()

    async def settle(self) -> None:
        """Let the loop run what is due now."""
        for _ in range(4):
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until `condition` holds; its clock stands still meanwhile."""
        while not condition():
            await asyncio.sleep(0)


class Client:
    """One end of a connection, and the server's protocol at the other."""

    def __init__(self, wire: Wire, connected: socket.socket, protocol: GuardedProtocol) -> None:
        self.socket = connected
        self.protocol = protocol
        self._wire = wire
        self._read = b""
        self._taken = 0
        receive = protocol.data_received

        def count(data: bytes) -> None:
            receive(data)
            self._taken += len(data)

        protocol.data_received = count  # type: ignore[method-assign]

    async def send(self, data: bytes) -> None:
        """Send, and wait until the server has parsed it."""
        goal = self._taken + len(data)
        await asyncio.get_running_loop().sock_sendall(self.socket, data)
        await self._wire.until(lambda: self._taken >= goal or self.closing)
        await self._wire.settle()

    @property
    def closing(self) -> bool:
        """Whether the server is closing the connection."""
        return self.protocol.transport.is_closing()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next response, which must declare its length."""
        while b"\r\n\r\n" not in self._read:
            await self._more()
        head, _, body = self._read.partition(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        while len(body) < length:
            await self._more()
            body = self._read.partition(b"\r\n\r\n")[2]
        self._read = body[length:]
        return int(head.split()[1]), body[:length]

    async def refusal(self) -> tuple[int, str]:
        """Status and code of the problem after which the server ends the connection."""
        status, body = await self.answer()
        assert await self.rest() == b""
        problem = json.loads(body)
        assert problem["status"] == status
        return status, problem["code"]

    async def rest(self) -> bytes:
        """All bytes until the server ends the connection, by a close or a reset."""
        try:
            while await self._more():
                pass
        except ConnectionError:
            pass
        found, self._read = self._read, b""
        return found

    async def take(self, size: int) -> int:
        """Read at least `size` bytes, unless the connection ends, and drop them; how many came."""
        taken = 0
        while taken < size:
            data = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16)
            if not data:
                break
            taken += len(data)
        return taken

    async def _more(self) -> int:
        data = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16)
        self._read += data
        return len(data)


def on_wire(scenario: Callable[[], Awaitable[T]]) -> T:
    """Run a scenario in an event loop whose clock the test moves."""
    with asyncio.Runner(loop_factory=ManualClockLoop) as runner:
        return runner.run(scenario())  # type: ignore[arg-type]


def request(path: str = "/", *lines: str, body: bytes | None = None) -> bytes:
    """A POST: head and body, or the head alone if there is no body."""
    length = [] if body is None else [f"Content-Length: {len(body)}"]
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *length, *lines, "", ""])
    return head.encode() + (body or b"")
