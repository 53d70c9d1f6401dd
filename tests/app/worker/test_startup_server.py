"""What answers while the model is on its way, and that its socket goes on to the model's server."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.clock import SystemClock
from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerUnavailable
from app.server.listener import bind
from app.service_urls import base_url
from app.worker.startup_server import StartupServer

get = partial(httpx.get, timeout=120)


def test_who_asks_is_told_how_far_the_download_is(caplog: pytest.LogCaptureFixture) -> None:
    """A search or a probe learns what it waits for; the log says it every few seconds."""
    with bind("127.0.0.1", 0) as listener, caplog.at_level(logging.INFO):
        url = base_url(*listener.getsockname())
        with StartupServer(listener, SystemClock()) as starting:
            worker = WorkerClient(url, secret=b"any")
            with pytest.raises(WorkerUnavailable, match="is being loaded"):
                worker.models()
            for megabytes in range(0, 780, 10):
                starting.downloaded("model.safetensors", megabytes * 1_000_000, 780_000_000)
            with pytest.raises(
                WorkerUnavailable, match=r"model.safetensors, 770 of 780 MB \(99%\)"
            ):
                worker.encode_text(["red"])
            assert get(f"{url}/livez").status_code == 200
            for probe, status in (("livez", 200), ("readyz", 503)):
                told = httpx.head(f"{url}/{probe}", timeout=120)
                assert (told.status_code, told.content) == (status, b"")
            starting.downloaded("model.safetensors", 780_000_000, 780_000_000)
            worker.close()
    told = [record for record in caplog.records if record.name == "app.worker.startup_server"]
    assert [record.message.split(", ")[1] for record in told] == [
        "0 of 780 MB (0%).",
        "780 of 780 MB (100%).",
    ]


def test_the_socket_goes_on_to_the_models_server() -> None:
    """No moment at which the address refuses: who comes in between is served by what follows."""

    async def model(_: Request) -> PlainTextResponse:
        return PlainTextResponse("the model")

    app = Starlette(routes=[Route("/model", model)])
    with bind("127.0.0.1", 0) as listener:
        url = base_url(*listener.getsockname())
        with StartupServer(listener, SystemClock()):
            assert get(f"{url}/model").status_code == 503
            assert get(f"{url}/readyz").status_code == 503
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        with ThreadPoolExecutor(2) as pool:
            early = pool.submit(get, f"{url}/model")
            pool.submit(server.run, [listener])
            assert early.result().text == "the model"
            server.should_exit = True


def test_a_caller_that_goes_away_is_no_event(capfd: pytest.CaptureFixture[str]) -> None:
    """A probe gives up after seconds; the log must not fill with tracebacks meanwhile."""
    with bind("127.0.0.1", 0) as listener, StartupServer(listener, SystemClock()):
        url = base_url(*listener.getsockname())
        for _ in range(3):
            with socket.create_connection(listener.getsockname()) as impatient:
                impatient.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                impatient.sendall(b"GET /model HTTP/1.1\r\n\r\n")
        assert get(f"{url}/livez").status_code == 200
    assert capfd.readouterr().err == ""


def test_a_caller_that_sends_nothing_does_not_hold_up_the_start() -> None:
    """The model is ready when it is ready: the block ends, although the connection stays."""
    with (
        bind("127.0.0.1", 0) as listener,
        ExitStack() as silent,
        StartupServer(listener, SystemClock()),
    ):
        silent.enter_context(socket.create_connection(listener.getsockname()))


def test_a_caller_that_sends_in_drops_does_not_hold_up_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its time is over as a whole, not anew with each byte."""
    monkeypatch.setattr("app.worker.startup_server._TIMEOUT_S", 1.0)
    with bind("127.0.0.1", 0) as listener, ThreadPoolExecutor(1) as pool:
        done = threading.Event()
        with StartupServer(listener, SystemClock()):
            client = socket.create_connection(listener.getsockname())
            client.sendall(b"GET /model HTTP/1.1\r\nA: ")

            def drip() -> None:
                with suppress(OSError):
                    while not done.wait(0.05):
                        client.sendall(b"b")

            dripping = pool.submit(drip)
            # one caller at a time: this one is answered once the other's time is over
            assert get(f"{base_url(*listener.getsockname())}/livez").status_code == 200
        done.set()
        dripping.result(60)
        client.close()


@pytest.mark.parametrize("length", ["-1", "+1", "abc", "", "9e9", "0" * 5000])
def test_a_length_that_is_none_is_answered_at_once(length: str) -> None:
    """A probe of any kind is told why there is no model yet, and none is read until its end."""
    with (
        bind("127.0.0.1", 0) as listener,
        StartupServer(listener, SystemClock()),
        socket.create_connection(listener.getsockname(), timeout=60) as client,
    ):
        client.sendall(b"POST /text HTTP/1.0\r\nContent-Length: %b\r\n\r\n" % length.encode())
        assert b" 503 " in client.recv(65_536).partition(b"\r\n")[0]
