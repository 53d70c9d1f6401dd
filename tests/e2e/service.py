"""A real service as its user starts it: `xclip-search serve` in a process group of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

START_TIMEOUT_S = 300.0  # that nothing hangs for ever: other work may share the machine
JOB_TIMEOUT_S = 600.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """One data folder and, at most times, the processes that serve it."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.url = ""
        self.log = data.parent / f"{data.name}.log"
        self.key: str | None = None
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: str = "serve") -> None:
        """Start on free ports and wait until ready; the log is shown if it never is."""
        port, worker_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        ports = {"XCLIP_PORT": str(port), "XCLIP_WORKER_PORT": str(worker_port)}
        environment = self.environment | ports
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli.main", command],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_ready()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of commands that work on the service's data."""
        inherited = {name: v for name, v in os.environ.items() if not name.startswith("XCLIP_")}
        own = {"XCLIP_DATA_DIR": str(self.data), "XCLIP_THREADS": "1"}
        return inherited | own | self._settings

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an `xclip-search` command on the service's data."""
        return subprocess.run(
            [sys.executable, "-m", "app.cli.main", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def create_key(self, scope: str) -> str:
        """Make a key, as an administrator does; from now on `client` sends it."""
        made = self.command("keys", "create", f"test-{scope}", "--scope", scope)
        assert made.returncode == 0, made.stderr
        self.key = next(word for word in made.stdout.split() if word.startswith("xclip_"))
        return self.key

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/readyz", timeout=120).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"the service did not become ready:\n{self.log.read_text()}")

    def client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(base_url=self.url, timeout=START_TIMEOUT_S, headers=headers)

    def process_ids(self) -> dict[str, int]:
        """The ids of the supervisor and of its children, by command name."""
        assert self._process is not None
        ids = {"serve": self._process.pid}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (folder / "cmdline").read_bytes().split(b"\0")
            except (OSError, IndexError):
                continue
            if parent == self._process.pid and command[-2:-1] in ([b"api"], [b"worker"]):
                ids[command[-2].decode()] = int(folder.name)
        return ids

    def decoder_ids(self) -> tuple[list[int], list[int]]:
        """The ids of the worker's fork server, and of the decoders that run at the moment."""
        servers = fork_servers(self.process_ids()["worker"])
        return servers, [each for server in servers for each in children(server)]

    def kill(self, *names: str) -> None:
        """`kill -9` some of "serve", "api", "worker"."""
        ids = self.process_ids()
        for name in names:
            os.kill(ids[name], signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, as an init system would; return the exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(START_TIMEOUT_S)

    def wait_dead(self) -> None:
        assert self._process is not None
        self._process.wait(START_TIMEOUT_S)

    def is_running(self) -> bool:
        """Whether the supervisor runs."""
        return self._process is not None and self._process.poll() is None


def children(parent: int) -> list[int]:
    """The ids of the processes that a process has started and that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, above = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if int(above) == parent and state != "Z":
            found.append(int(folder.name))
    return found


def fork_servers(worker: int) -> list[int]:
    """The ids of the fork servers that a worker has: one, or none until it has started."""
    found = []
    for child in children(worker):
        with suppress(OSError):  # it has ended meanwhile
            if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


@contextmanager
def running(data: Path, **settings: str) -> Iterator[Service]:
    """A service that is stopped at the end, whatever happened."""
    service = Service(data, **settings)
    try:
        service.start()
        yield service
    finally:
        service.stop()


def upload(
    client: httpx.Client, file: Path, metadata: str = "{}", collection: str = "default"
) -> httpx.Response:
    with file.open("rb") as body:
        return client.post(
            f"/v1/collections/{collection}/videos",
            files={"file": (file.name, body, "video/mp4")},
            data={"metadata": metadata},
        )


def wait_for_job(
    client: httpx.Client, job_id: str, timeout_s: float = JOB_TIMEOUT_S
) -> Mapping[str, Any]:
    """Poll until the job has ended, through restarts of the service."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            job = client.get(f"/v1/jobs/{job_id}")
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        assert job.status_code == httpx.codes.OK, job.text
        if job.json()["status"] in ("succeeded", "failed", "canceled"):
            result: Mapping[str, Any] = job.json()
            return result
        time.sleep(0.1)
    raise AssertionError(f"job {job_id} did not end in {timeout_s} s: {job.json()}")


def all_items(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Every item of a paged list."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = client.get(path, params={"cursor": cursor} if cursor else {}).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items
