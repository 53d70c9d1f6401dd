"""A server of files on 127.0.0.1 that says exactly the bytes a test gives it, and counts."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import socket

Answer = bytes | Callable[[socket], None]


class Origin(socketserver.ThreadingTCPServer):
    """`answers` by path: the bytes to send, or who sends them; then the connection is closed."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port: int = self.server_address[1]
        self.answers: dict[str, Answer] = {}
        self.connections = 0
        self.heads: list[bytes] = []
        self.closing = threading.Event()
        self.tls: ssl.SSLContext | None = None

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The URL of one of the answers."""
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some tests are about."""


class _Connection(socketserver.BaseRequestHandler):
    server: Origin

    def handle(self) -> None:
        """Read one request's head and answer it."""
        self.server.connections += 1
        connection = self.request
        if self.server.tls:
            connection = self.server.tls.wrap_socket(connection, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536) or b"\r\n\r\n"
        self.server.heads.append(head)
        answer = self.server.answers[head.split()[1].decode()]
        if callable(answer):
            with suppress(OSError):
                answer(connection)
        else:
            connection.sendall(answer)
        connection.close()


@contextmanager
def serving() -> Iterator[Origin]:
    """An origin that serves."""
    with Origin() as origin:
        thread = threading.Thread(target=origin.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield origin
        finally:
            origin.closing.set()
            origin.shutdown()
            thread.join()


def whole(body: bytes, *headers: str) -> bytes:
    """A 200 with the body and its length."""
    return head(200, f"content-length: {len(body)}", *headers) + body


def redirect(location: str, status: int = 302) -> bytes:
    """An answer that leads elsewhere."""
    return head(status, f"location: {location}", "content-length: 0")


def head(status: int, *headers: str) -> bytes:
    """The head of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status} So", *headers, "", ""]).encode("latin-1")


def drip(piece: bytes, pause_s: float, *, before: bytes) -> Callable[[socket], None]:
    """Sends `before`, then `piece` again and again with pauses, until the other side has gone."""

    def send(connection: socket) -> None:
        connection.sendall(before)
        pause = threading.Event()
        while True:
            connection.sendall(piece)
            pause.wait(pause_s)

    return send
