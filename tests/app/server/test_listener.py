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

GUARD_S = 120
LONG_S = 600  # longer than the guard: what waits for so long fails

# Says when a request has begun, and reads its body to the end.
PROGRAM = """
    import sys
    from app.server.listener import bind, run_app
    from app.settings import Settings

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        if scope["method"] == "POST":
            print("begun", flush=True)
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    with bind("127.0.0.1", 0) as listener:
        print(listener.getsockname()[1], flush=True)
        grace_s, long_s = map(float, sys.argv[1:])
        settings = Settings(shutdown_grace_s=grace_s, body_timeout_s=long_s)
        run_app(app, listener, settings, on_stop=lambda: print("stop", flush=True))
    print("ended")
"""


class Program:
    """The program above, running."""

    def __init__(self, grace_s: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), str(grace_s), str(LONG_S)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.line())
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/", timeout=GUARD_S)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def upload(self, head: bytes) -> socket.socket:
        """A client whose request has begun; its body does not come yet."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=GUARD_S)
        client.sendall(head)
        assert self.line() == "begun\n"
        return client

    def end(self) -> tuple[int, str]:
        """Exit status, and what was still printed."""
        assert self.process.stdout is not None
        with self.process.stdout as output:
            printed = output.read()
        return self.process.wait(GUARD_S), printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_with_status_zero(number: int) -> None:
    """What comes after serving still runs, and a grace that nobody needs is not waited for."""
    program = Program(grace_s=LONG_S)
    program.process.send_signal(number)
    assert program.end() == (0, "stop\nended\n")


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
        [sys.executable, "-c", textwrap.dedent(EARLY + PROGRAM), "5", str(LONG_S)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=True,
    )
    assert ended.stdout.split("\n", 1)[1] == "stop\nended\n"


def test_a_request_in_flight_is_answered() -> None:
    """The grace is there to be used."""
    program = Program(grace_s=LONG_S)
    with program.upload(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n") as client:
        program.process.send_signal(signal.SIGTERM)
        assert program.line() == "stop\n"
        client.sendall(b"body")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert program.end() == (0, "ended\n")


def test_half_an_upload_does_not_hold_the_process() -> None:
    """A client that neither sends nor leaves is left behind when the grace is over."""
    program = Program(grace_s=1)
    with program.upload(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"):
        program.process.send_signal(signal.SIGTERM)
        assert program.end() == (0, "stop\nended\n")


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
