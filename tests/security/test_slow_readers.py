"""Clients that read their answers slowly, on real sockets: probes and others are served."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
import uvicorn

from app.main import create_app
from app.server.limits import MAX_PIPELINED
from app.server.listener import bind, server_config
from app.settings import Settings

AT_ONCE = 24
OF_ADDRESS = 16
LARGE = "/swagger/swagger-ui-bundle.js"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A served application with few connections."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("slow"),
        worker_url="http://127.0.0.1:9",
        threads=1,
        max_connections=AT_ONCE,
        max_connections_per_address=OF_ADDRESS,
    )
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(server_config(create_app(settings), settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.force_exit = server.should_exit = True
    thread.join()


def slow_reader(port: int, source: str) -> socket.socket:
    """Many requests for a large public file, of whose answers the first bytes are read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    client.bind((source, 0))
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {LARGE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * MAX_PIPELINED)
    return client


def status(port: int, path: str, source: str) -> int:
    transport = httpx.HTTPTransport(local_address=source)
    with httpx.Client(transport=transport, timeout=60) as client:
        return client.get(f"http://127.0.0.1:{port}{path}").status_code


def test_slow_readers_of_one_address_hold_up_nobody_else(port: int):
    """However many they are: their own address is refused, another one and probes are served."""
    with ExitStack() as stack:
        for _ in range(3 * AT_ONCE):
            client = stack.enter_context(slow_reader(port, "127.0.0.1"))
            assert client.recv(16).startswith(b"HTTP/1.1 ")
        assert status(port, "/livez", "127.0.0.1") == 200
        assert status(port, "/v1/collections", "127.0.0.1") == 503
        assert status(port, "/v1/collections", "127.0.0.2") == 200


def test_probes_are_answered_while_slow_readers_hold_every_connection(port: int):
    """Of several addresses, so that none is at its own limit."""
    with ExitStack() as stack:
        for number in range(2 * AT_ONCE):
            client = stack.enter_context(slow_reader(port, f"127.0.1.{1 + number % 8}"))
            assert client.recv(16).startswith(b"HTTP/1.1 ")
        assert status(port, "/v1/collections", "127.0.0.3") == 503
        for _ in range(3):
            assert status(port, "/livez", "127.0.0.3") == 200
            assert status(port, "/readyz", "127.0.0.3") == 503  # no worker, which it says itself
