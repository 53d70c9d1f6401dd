"""The gate before the body, on a real socket; and when nobody can say which keys are in force."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from app.catalog import Catalog
from app.main import create_app
from app.security.authentication import Authenticator
from app.security.principal import Principal
from app.server.listener import bind, server_config
from app.settings import Settings
from tests.app.catalog.samples import HandClock
from tests.app.stack import assert_problem
from tests.security.doors import new_key, open_doors

BODY = 50 << 20
UPLOAD = "/v1/collections/default/videos"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A served application that has a key."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("gate"), threads=1)
    with Catalog.open(settings.catalog_url) as catalog:
        new_key(catalog)
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(server_config(create_app(settings), settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def head(*lines: str) -> bytes:
    fixed = (f"POST {UPLOAD} HTTP/1.1", "Host: 127.0.0.1", "Authorization: Bearer xclip_no")
    return "\r\n".join((*fixed, *lines, "", "")).encode()


@pytest.mark.parametrize("framing", [f"Content-Length: {BODY}", "Transfer-Encoding: chunked"])
def test_a_wrong_key_is_answered_before_its_body_is_taken(port: int, framing: str):
    """What goes out before the answer comes is no more than the buffers of two sockets hold."""
    piece = b"x" * 65_536
    if "chunked" in framing:
        piece = b"10000\r\n" + piece + b"\r\n"
    sent, answer = 0, b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(head("Content-Type: multipart/form-data; boundary=b", framing))
        client.settimeout(0.05)
        while sent < BODY and not answer:
            try:
                sent += client.send(piece)
                answer = client.recv(65_536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except (TimeoutError, ConnectionError):
                client.settimeout(60)
                answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer.lower()
    assert sent < BODY / 4


def test_who_waits_to_be_told_to_go_on_is_told_not_to(port: int):
    """`Expect: 100-continue` gets its 401 before any byte of the body."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(head("Content-Type: video/mp4", f"Content-Length: {BODY}",
                            "Expect: 100-continue"))  # fmt: skip
        assert client.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_a_key_may_have_so_many_requests_served_at_once(tmp_path: Path):
    """The one too many is told to come back; when one has been served the next may enter."""
    with open_doors(tmp_path, keyed=False) as opened:
        key = new_key(opened.catalog, concurrent_requests=1)
    with open_doors(tmp_path, keyed=False) as opened:
        doors: Authenticator = opened.api.app_state["authenticator"]
        (stored,) = opened.catalog.keys_in_force()
        with doors.serving(Principal(stored.id, stored.name, stored.scope, at_once=1)):
            refused = opened.api.get("/v1/collections", headers=key)
            assert_problem(refused, 429, "too_many_concurrent")
            assert refused.headers["retry-after"] == "1"
        for path in ("/v1/collections", "/v1/collections/none", "/v1/collections"):
            assert opened.api.get(path, headers=key).status_code in (200, 404)


def test_a_catalog_that_is_away_closes_the_doors_and_the_probes_still_answer(tmp_path: Path):
    """Nobody can say whether a key was revoked, so none is believed; alive it is all the same."""
    clock = HandClock()
    with open_doors(tmp_path, clock=clock) as doors:
        doors.api.app_state["parts"].catalog.close()
        for suffix in ("", "-wal", "-shm"):
            (tmp_path / f"catalog.sqlite{suffix}").unlink(missing_ok=True)
        (tmp_path / "catalog.sqlite").mkdir()
        clock.advance(1.1)
        refused = doors.api.get("/v1/models", headers=doors.keys["admin"])
        assert_problem(refused, 503, "catalog_unavailable")
        assert doors.api.get("/livez").status_code == 200
        assert doors.api.get("/readyz").status_code == 503
        assert doors.api.get("/").status_code == 200
