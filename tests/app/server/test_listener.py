"""One application on one port: a clean end on a signal, whatever the clients do."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import httpx
import pytest

from app.server.listener import PortBusy, bind

ROOT = Path(__file__).parents[3]

# Answers /slow after three seconds and reads every other request's body to its end.
PROGRAM = """
    import asyncio, sys
    from app.server.listener import bind, run_app
    from app.settings import Settings

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        if scope["path"] == "/slow":
            await asyncio.sleep(3)
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    with bind("127.0.0.1", 0) as listener:
        print(listener.getsockname()[1], flush=True)
        settings = Settings(shutdown_grace_s=float(sys.argv[1]))
        run_app(app, listener, settings, on_stop=lambda: print("stop"))
    print("ended")
"""


class Program:
    """The program above, running."""

    def __init__(self, grace_s: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), str(grace_s)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/")
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return

    def end(self, number: int) -> tuple[int, str, float]:
        """Exit status, what was printed, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        printed, _ = self.process.communicate(timeout=120)
        return self.process.returncode, printed, time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_with_status_zero(number: int) -> None:
    """What comes after serving still runs, and a service manager sees a clean end."""
    status, printed, took_s = Program(grace_s=5).end(number)
    assert (status, printed) == (0, "stop\nended\n")
    assert took_s < 4


EARLY = """
    import logging, os, signal

    class Kill(logging.Handler):
        def emit(self, record):
            if "listening" in record.getMessage():
                os.kill(os.getpid(), signal.SIGTERM)

    logging.basicConfig(level="INFO", handlers=[Kill()])
"""


def test_a_signal_just_before_serving_is_not_lost() -> None:
    """It came when nothing handled it, and the process went on for ever."""
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(EARLY) + textwrap.dedent(PROGRAM), "5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ended.stdout.split("\n", 1)[1] == "stop\nended\n"


def test_a_request_in_flight_is_answered() -> None:
    """The grace is there to be used."""
    program = Program(grace_s=10)
    with socket.create_connection(("127.0.0.1", program.port)) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.5)
        status, _, _ = program.end(signal.SIGTERM)
        assert status == 0
        assert client.recv(1000).startswith(b"HTTP/1.1 200")


def test_half_an_upload_does_not_hold_the_process() -> None:
    """A client that neither sends nor leaves is left behind when the grace is over."""
    program = Program(grace_s=1)
    with socket.create_connection(("127.0.0.1", program.port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
        time.sleep(0.5)
        status, printed, took_s = program.end(signal.SIGTERM)
    assert status == 0
    assert printed.endswith("ended\n")
    assert took_s < 5


def test_a_port_in_use_is_named() -> None:
    """The message says which port, and which variables choose another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortBusy, match=rf"Port {port} .*XCLIP_PORT.*XCLIP_WORKER_PORT"):
            bind("127.0.0.1", port)


def test_a_port_just_left_can_be_taken_again() -> None:
    """A restarted service does not wait for the kernel to forget old connections."""
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        first.listen()
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = first.accept()
        served.close()  # this side closes first, so the port lingers in TIME_WAIT
        client.close()
    with bind("127.0.0.1", port) as second:
        assert second.getsockname()[1] == port
