"""`xclip-search serve` as an operator meets it: real processes, real signals, real ports."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from xclip.video.sampling import Segmentation, windows

ROOT = Path(__file__).parents[4]
GRACE_S = 120.0
STRIDE_S = 0.06  # many segments, so that there is time to interrupt an ingest
PATIENCE_S = 300.0  # that nothing hangs for ever: other work may share the machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def command(name: str, environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli.main", name],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("XCLIP_")} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class Service:
    """One running `serve` and everything it started, told apart by its data folder."""

    parent: subprocess.Popen[str]
    environ: dict[str, str]
    log: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environ['XCLIP_PORT']}"

    def processes(self) -> dict[int, str]:
        """Process ids and command lines of all that was started with this data folder."""
        mark = f"XCLIP_DATA_DIR={self.environ['XCLIP_DATA_DIR']}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_text()
            except OSError:  # gone meanwhile, or not ours
                continue
        return found

    def pid_of(self, name: str) -> int:
        ending = f"app.cli.main\0{name}\0"
        (pid,) = [pid for pid, line in self.processes().items() if line.endswith(ending)]
        return pid

    def upload(self, path: Path) -> dict[str, Any]:
        with path.open("rb") as file:
            answer = httpx.post(
                f"{self.url}/v1/collections/default/videos", files={"file": file}, timeout=120
            )
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()["job"]
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.url}/v1/jobs/{job_id}", timeout=120).json()
        return answer


@pytest.fixture
def service(tmp_path: Path, checkpoint: Path) -> Iterator[Service]:
    """A service on ports and in a folder of its own, ready, with short leases."""
    environ = {
        "XCLIP_DATA_DIR": str(tmp_path / "data"),
        "XCLIP_MODEL": str(checkpoint),
        "XCLIP_PORT": str(free_port()),
        "XCLIP_WORKER_PORT": str(free_port()),
        "XCLIP_WINDOW_S": "1",
        "XCLIP_STRIDE_S": str(STRIDE_S),
        "XCLIP_THREADS": "1",
        "XCLIP_LEASE_S": "6",
        "XCLIP_SHUTDOWN_GRACE_S": str(GRACE_S),
    }
    running = Service(command("serve", environ), environ, [])
    announced: queue.Queue[str] = queue.Queue()
    output, errors = running.parent.stdout, running.parent.stderr
    assert output is not None
    assert errors is not None
    readers = [
        threading.Thread(target=lambda: announced.put(output.readline())),
        threading.Thread(target=lambda: running.log.extend(errors)),
    ]
    for reader in readers:
        reader.start()
    try:
        line = announced.get(timeout=PATIENCE_S)
        assert line.strip() == f"X-CLIP Search is ready: {running.url}"
        yield running
    finally:
        for pid in (running.parent.pid, *running.processes()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        running.parent.wait()
        for reader in readers:
            reader.join()
        output.close()
        errors.close()


def test_a_killed_worker_comes_back_and_its_job_is_done_once_and_sigterm_ends_all(
    service: Service, make_clip: Callable[..., Path]
) -> None:
    """The announced URL is ready; kill -9 costs a job one attempt; SIGTERM leaves no process."""
    assert httpx.get(f"{service.url}/readyz", timeout=120).status_code == 200
    job = service.upload(make_clip("one.mp4", seconds=40, fps=4, seed=1))
    assert eventually(lambda: service.job(job["id"])["progress"] > 0)
    killed = service.pid_of("worker")
    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: service.job(job["id"])["status"] == "succeeded")
    done = service.job(job["id"])
    assert done["attempts"] == 2
    assert service.pid_of("worker") != killed
    collection = httpx.get(f"{service.url}/v1/collections/default", timeout=120).json()
    expected = len(windows(40.0, Segmentation(1.0, STRIDE_S)))
    assert (collection["videos"], collection["segments"]) == (1, expected)
    asked = httpx.post(
        f"{service.url}/v1/collections/default/search",
        json={"text": "a red square", "top_k": 3},
        timeout=120,
    )
    assert len(asked.json()["results"]) == 3

    # a second job is in progress when the service is stopped
    second = service.upload(make_clip("two.mp4", seconds=240, fps=4, seed=2))
    assert eventually(lambda: service.job(second["id"])["progress"] > 0)
    service.parent.send_signal(signal.SIGTERM)
    assert service.parent.wait(PATIENCE_S) == 0
    assert eventually(lambda: service.processes() == {}), service.processes()
    assert any("back in the queue" in line for line in service.log)
    assert not any("killed" in line for line in service.log)


def test_nothing_outlives_a_killed_parent(service: Service) -> None:
    """kill -9 of `serve` ends the API, the worker and the decoders' fork server too."""
    assert len(service.processes()) >= 3
    os.kill(service.parent.pid, signal.SIGKILL)
    service.parent.wait()
    assert eventually(lambda: service.processes() == {}), service.processes()


def ended(name: str, environ: dict[str, str]) -> tuple[int, str]:
    """Exit status and error text of a command that must end by itself."""
    process = command(name, environ)
    _, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, errors


@pytest.mark.parametrize("name", ["serve", "api", "worker"])
def test_a_busy_port_is_one_clear_line_and_a_status(name: str, tmp_path: Path) -> None:
    """No traceback, no restart loop, and the way out is named."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        variable = "XCLIP_WORKER_PORT" if name == "worker" else "XCLIP_PORT"
        environ = {"XCLIP_DATA_DIR": str(tmp_path), variable: port}
        status, errors = ended(name, environ)
    assert status == os.EX_UNAVAILABLE
    assert f"error: Port {port} on 127.0.0.1 is in use" in errors
    assert "Traceback" not in errors


def test_settings_that_cannot_work_are_one_clear_line_and_a_status(tmp_path: Path) -> None:
    """The operator reads which variable to mend."""
    for environ, sentence in (
        ({"XCLIP_MODLE": "motion-tiny"}, "XCLIP_MODLE is not a setting"),
        ({"XCLIP_HOST": "0.0.0.0", "XCLIP_DATA_DIR": str(tmp_path)}, "there is no key"),
        ({"XCLIP_PORT": "8123", "XCLIP_WORKER_PORT": "8123"}, "are both 8123"),
    ):
        status, errors = ended("serve", environ)
        assert status == os.EX_CONFIG
        assert sentence in errors
        assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("name", "variable", "setting", "sentence"),
    [
        ("serve", "XCLIP_DEVICE", "gpu", "must be auto, cpu, cuda, or cuda:N"),
        ("worker", "XCLIP_DEVICE", "cuda:900", "cuda:900 is not available"),
        ("serve", "XCLIP_WORKER_HOST", "nosuch.invalid", "cannot be listened on"),
        ("api", "XCLIP_HOST", "203.0.113.9", "XCLIP_HOST"),
        ("serve", "XCLIP_DATA_DIR", "/proc/x", "cannot be used"),
        ("serve", "XCLIP_DATA_DIR", __file__, "not a folder"),
        ("serve", "XCLIP_DATABASE_URL", "foo", "not the URL of a database"),
        ("worker", "XCLIP_DATABASE_URL", "mysql://u:secret@h/x", "mysql is not supported"),
    ],
)
def test_a_setting_that_this_machine_cannot_serve_is_one_clear_line_and_a_status(
    name: str, variable: str, setting: str, sentence: str, tmp_path: Path
) -> None:
    """The variable and the reason, no traceback, and a status that no supervisor restarts."""
    environ = {"XCLIP_DATA_DIR": str(tmp_path / "data"), "XCLIP_WORKER_PORT": str(free_port())}
    status, errors = ended(name, {**environ, "XCLIP_PORT": str(free_port()), variable: setting})
    assert status == os.EX_CONFIG, errors
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert variable in line
    assert sentence in line
    assert "Traceback" not in errors
    assert "secret" not in errors


def test_a_model_that_does_not_exist_is_one_clear_line_and_a_status(tmp_path: Path) -> None:
    """Starting the worker again would not make it appear."""
    environ = {
        "XCLIP_DATA_DIR": str(tmp_path / "data"),
        "XCLIP_MODEL": str(tmp_path / "no-such-model"),
        "XCLIP_WORKER_PORT": str(free_port()),
    }
    status, errors = ended("worker", environ)
    assert status == os.EX_CONFIG
    assert "no-such-model cannot be loaded" in errors
    assert "Traceback" not in errors
