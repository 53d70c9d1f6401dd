"""A revoked key's open requests, on real sockets: each ends, and no other key's does."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn

from app.catalog import Catalog
from app.catalog.records import NewVideo
from app.clock import SystemClock
from app.main import create_app
from app.security.api_keys import FRESH_S, create_key
from app.security.revocation import LOOK_EVERY_S
from app.server.listener import bind, server_config
from app.settings import Settings
from tests.faults.full_disk import VIDEOS

PATIENCE_S = 300
HALF = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\nhalf'


class Ahead(SystemClock):
    """The machine's clock, but with the time of day as far ahead as a test says."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass(frozen=True)
class Served:
    """An application on a port, the folder it serves, and a job that no worker takes."""

    port: int
    folder: Path
    catalog: Catalog
    job_id: str
    clock: Ahead

    def key(self, scope: str = "write", **choices: float) -> tuple[str, str]:
        """A new key: its id, and its header line."""
        key, text = create_key(self.catalog, "test", scope, **choices)  # type: ignore[arg-type]
        time.sleep(FRESH_S)  # until the service has to have read it
        return key.id, f"Authorization: Bearer {text}"

    def begin(self, *head: str, body: bytes = b"") -> socket.socket:
        """Send the beginning of a request."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        client.sendall("\r\n".join((*head, "Host: 127.0.0.1", "", "")).encode() + body)
        return client


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("revocation")
    settings = Settings(
        data_dir=folder,
        worker_url="http://127.0.0.1:9",
        threads=1,
        body_timeout_s=PATIENCE_S,  # of uploads that wait for the revocation
    )
    clock = Ahead()
    with Catalog.open(settings.catalog_url) as catalog:
        create_key(catalog, "another", "admin")  # the last one revoked would open the service
        listener = bind("127.0.0.1", 0)
        server = uvicorn.Server(server_config(create_app(settings, clock=clock), settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        new = NewVideo("a.mp4", "video/mp4", 1, "0" * 64, {})
        _, job, _ = catalog.add_video_with_job("default", new)
        yield Served(listener.getsockname()[1], folder, catalog, job.id, clock)
        server.should_exit = True
        thread.join()


def upload(served: Served, key: str) -> socket.socket:
    """An upload that has begun and does not go on."""
    form = "Content-Type: multipart/form-data; boundary=b"
    client = served.begin(
        f"POST {VIDEOS} HTTP/1.1", key, form, "Content-Length: 90000000", body=HALF
    )
    deadline = time.monotonic() + PATIENCE_S
    while not list((served.folder / "tmp").glob("incoming-*")):
        assert time.monotonic() < deadline
    return client


def follow(served: Served, key: str) -> socket.socket:
    """A stream of events whose first event has come."""
    client = served.begin(f"GET /v1/jobs/{served.job_id}/events HTTP/1.1", key)
    got = b""
    while b"event: job" not in got:
        got += client.recv(65_536)
    return client


def all_of(client: socket.socket) -> bytes:
    """What still comes, to the end of the connection or of the chunked body."""
    got = b""
    while (part := client.recv(65_536)) and not got.endswith(b"0\r\n\r\n"):
        got += part
        if got.endswith(b"0\r\n\r\n"):
            break
    return got


def is_open(client: socket.socket) -> bool:
    """Whether neither the connection nor the chunked body has ended; comments may have come."""
    client.setblocking(False)
    try:
        while got := client.recv(65_536):
            if got.endswith(b"0\r\n\r\n"):
                return False
    except BlockingIOError:
        return True
    return False


def revoke(served: Served, key_id: str) -> None:
    """As the operator does it: another process."""
    command = [sys.executable, "-m", "app.cli.main", "keys", "revoke", key_id]
    environment = {"XCLIP_DATA_DIR": str(served.folder), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, env=environment, check=True, capture_output=True)


def test_the_upload_of_a_revoked_key_ends_with_401_and_leaves_nothing(served: Served):
    key_id, key = served.key()
    with upload(served, key) as client:
        revoke(served, key_id)
        answer = all_of(client)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"key_invalid" in answer
    assert not list((served.folder / "tmp").glob("incoming-*"))


def test_the_event_stream_of_a_revoked_key_ends(served: Served):
    """With its last chunk, so that an EventSource comes again and is told 401."""
    key_id, key = served.key()
    with follow(served, key) as client:
        revoke(served, key_id)
        assert all_of(client).endswith(b"0\r\n\r\n")
    head = f"http://127.0.0.1:{served.port}/v1/jobs/{served.job_id}/events"
    again = httpx.get(head, headers={"authorization": key.partition(": ")[2]}, timeout=PATIENCE_S)
    assert again.status_code == 401


def test_a_long_poll_of_a_revoked_key_ends_with_401(served: Served):
    key_id, key = served.key()
    path = f"GET /v1/jobs/{served.job_id} HTTP/1.1"
    with served.begin(path, key, "Prefer: wait=60") as client:
        revoke(served, key_id)
        assert client.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_a_key_that_expires_ends_what_it_has_open(served: Served):
    _, key = served.key(expires_in_s=3600.0)
    with follow(served, key) as client:
        served.clock.ahead = timedelta(hours=2)
        assert all_of(client).endswith(b"0\r\n\r\n")
    served.clock.ahead = timedelta()


def test_another_keys_stream_goes_on(served: Served):
    """A third stream shows when the revocation has been seen."""
    key_id, key = served.key()
    _, other = served.key("read")
    with follow(served, key) as ended, follow(served, other) as goes_on:
        revoke(served, key_id)
        all_of(ended)
        assert is_open(goes_on)


def test_an_end_comes_within_a_second():
    """The age that keys may have and the pause between two looks leave room for the read."""
    assert FRESH_S + LOOK_EVERY_S <= 0.75
