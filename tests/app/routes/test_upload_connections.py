"""Uploads over real sockets: what is left of them when their senders are not."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

from app.main import create_app
from app.settings import Settings
from tests.app.stack import VIDEOS

HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"
TUS = {"tus-resumable": "1.0.0"}


@dataclass(frozen=True)
class Server:
    """The application on a port of this machine."""

    data: Path
    port: int

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)

    def send(self, method: str, path: str, begin: bytes, length: int, *lines: str) -> socket.socket:
        """Send a request's head and the begin of a body of `length` bytes; returns the socket."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        head = (f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "connection: close", *lines)
        connection.sendall("\r\n".join([*head, f"content-length: {length}", "", ""]).encode())
        connection.sendall(begin)
        return connection

    def incoming(self) -> list[Path]:
        return list((self.data / "tmp").glob("incoming-*"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("data")
    app = create_app(Settings(data_dir=data, worker_url="http://127.0.0.1:9"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: running.started)
        yield Server(data, listener.getsockname()[1])
        running.should_exit = True
        thread.join()


def answer(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(10_000), b""))


def wait_until(come: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not come():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_client_that_vanishes_leaves_nothing(server: Server):
    """Its bytes had begun to come to the disk; then there is neither file, video nor job."""
    form = "content-type: multipart/form-data; boundary=b"
    sent = server.send("POST", VIDEOS, HEAD + bytes(3 << 20), 5 << 20, form)
    wait_until(lambda: any(path.stat().st_size for path in server.incoming()))
    sent.close()
    wait_until(lambda: server.incoming() == [])
    with server.client() as client:
        assert client.get("/v1/jobs").json()["items"] == []
    assert [path for path in (server.data / "media").rglob("*") if path.is_file()] == []


def test_a_key_in_use_is_refused_before_the_body_is_read(server: Server):
    """409 with a time to wait; once the first request has ended, its answer is repeated."""
    lines = ("content-type: multipart/form-data; boundary=b", "idempotency-key: monday's")
    body = HEAD + b"abc" + TAIL
    with server.send("POST", VIDEOS, body[:-5], len(body), *lines) as first:
        wait_until(lambda: server.incoming() != [])
        with server.send("POST", VIDEOS, b"", 1 << 20, *lines) as second:
            refused = answer(second)
        assert refused.startswith(b"HTTP/1.1 409")
        assert b"\r\nretry-after: 1\r\n" in refused
        assert b"idempotency_in_flight" in refused
        first.sendall(body[-5:])
        assert answer(first).startswith(b"HTTP/1.1 202")
    with server.send("POST", VIDEOS, body, len(body), *lines) as third:
        assert b"\r\nidempotent-replay: true\r\n" in answer(third)


def test_a_cut_piece_of_a_resumable_upload_counts_as_far_as_it_came(server: Server):
    """While it comes nobody else writes; after the cut the client goes on where it was."""
    content = bytes(range(256)) * (3 << 12)
    with server.client() as client:
        headers = {**TUS, "upload-length": str(len(content))}
        url = client.post("/v1/collections/default/uploads", headers=headers).headers["location"]
        lines = ("tus-resumable: 1.0.0", "upload-offset: 0")
        kind = "content-type: application/offset+octet-stream"
        sent = server.send("PATCH", url, content[: 2 << 20], len(content), kind, *lines)
        wait_until(lambda: client.get(url).json()["offset"] > 0)
        assert client.head(url, headers=TUS).status_code == 423
        sent.close()
        wait_until(lambda: client.head(url, headers=TUS).status_code == 200)
        offset = int(client.head(url, headers=TUS).headers["upload-offset"])
        assert offset == 2 << 20
        piece = {**TUS, "upload-offset": str(offset), "content-type": kind.split(": ")[1]}
        done = client.patch(url, headers=piece, content=content[offset:])
        assert done.status_code == 204
        video = client.get(f"{VIDEOS}/{done.headers['x-video-id']}").json()
        assert client.get(video["content_url"]).content == content
        assert json.loads(client.get(url).content)["complete"]
