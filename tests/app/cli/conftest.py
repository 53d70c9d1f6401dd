"""A running service for the commands that are its clients, and a terminal to run them in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from app.cli.main import build_cli

ROOT = Path(__file__).parents[3]
START_S = 300.0
# rich takes what is no terminal for a dumb one, of this size
WIDE_TERMINAL = {"TTY_COMPATIBLE": "1", "TERM": "dumb", "COLUMNS": "200", "LINES": "60"}

RunCommand = Callable[..., Result]


def _free_port() -> int:
    """A port whose next one is free too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@pytest.fixture(name="free_port")
def free_port_fixture() -> int:
    """A port that is free, as is the next."""
    return _free_port()


@pytest.fixture(scope="session")
def running_service(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real `serve` that cuts videos in windows of 1 s every 0.5 s."""
    port = _free_port()
    environ = {
        "XCLIP_DATA_DIR": str(tmp_path_factory.mktemp("service")),
        "XCLIP_MODEL": str(checkpoint),
        "XCLIP_PORT": str(port),
        "XCLIP_WORKER_PORT": str(port + 1),
        "XCLIP_WINDOW_S": "1",
        "XCLIP_STRIDE_S": "0.5",
        "XCLIP_THREADS": "1",
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("XCLIP_")}
    command = [sys.executable, "-m", "app.cli.main", "serve"]
    process = subprocess.Popen(command, cwd=ROOT, env=inherited | environ)
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_S
        while not _is_ready(url):
            assert process.poll() is None, "the service ended"
            assert time.monotonic() < deadline, "the service does not become ready"
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(300)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=120, trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Runs the command line in a wide terminal: `command("search", "a red square")`."""
    for name in [name for name in os.environ if name.startswith("XCLIP_")]:
        monkeypatch.delenv(name)
    for name, value in WIDE_TERMINAL.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(build_cli(), [str(argument) for argument in arguments])

    return run


@pytest.fixture
def piped(command: RunCommand, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """Runs the command line with its output in a pipe: `piped("videos")`."""
    for name in WIDE_TERMINAL:
        monkeypatch.delenv(name)
    return command


@pytest.fixture
def collection(running_service: str, request: pytest.FixtureRequest) -> str:
    """An empty collection of the test's own in the running service."""
    name = request.node.name.replace("[", "-").replace("]", "")[:63]
    answer = httpx.put(f"{running_service}/v1/collections/{name}", trust_env=False, timeout=120)
    assert answer.status_code == 201
    return name
