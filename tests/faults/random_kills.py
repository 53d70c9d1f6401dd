"""Chaos run: kill the service's processes at random moments while it takes, indexes and deletes.

    python -m tests.faults.random_kills --kills 200 [--seed N]

The victims are drawn among the API, the worker, a decoder and the fork server that decoders come
from; the API has no children. Real processes, real sockets. Traffic goes on through the restarts; a
client that got no answer asks again, as clients do. At the end every accepted video is there once,
none of their jobs has failed, no video that was deleted is there, and `verify` finds no damage.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from tests.e2e.service import all_items, children, fork_servers, free_port
from xclip.motion.clips import write_clip
from xclip.motion.world import TRAINING, sample_scene

VIDEOS = "/v1/collections/default/videos"
START_S = 180.0
CATCH_S = 60.0
QUIET_S = 900.0  # a job that lost many attempts waits for minutes
MOST_WAITING = 20
REPORT_EACH = 20
console = Console(width=100)


class Half:
    """The API or the worker: a process that is started again after each kill."""

    def __init__(self, name: str, environment: dict[str, str], log: Path) -> None:
        self.name = name
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli.main", self.name],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to the process alone: what it has started must notice by itself."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    @property
    def pid(self) -> int:
        """The process's id; it must live."""
        assert self._process is not None
        assert self._process.poll() is None, f"the {self.name} had died by itself: {self._log}"
        return self._process.pid

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)


class Traffic:
    """One client that uploads clips that are each new, deletes some, and remembers the answers."""

    def __init__(self, url: str, clip: bytes, seed: int) -> None:
        self._url = url
        self._clip = clip
        self._random = random.Random(seed)
        self.accepted: set[str] = set()
        self.unsure: set[str] = set()
        self.deleted: set[str] = set()
        self.deleting: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._stop.wait(self._random.uniform(0.2, 1.2)):
                number += 1
                with contextlib.suppress(httpx.TransportError):
                    if self._enough_waits(client):
                        continue
                    self._upload(client, number)
                    if self._random.random() < 0.4:
                        self._delete(client)

    def _enough_waits(self, client: httpx.Client) -> bool:
        """Whether a slow machine has its hands full, for long after the last kill too."""
        params = {"limit": MOST_WAITING, "status": "processing"}
        page = client.get(VIDEOS, params=params)
        return page.is_success and len(page.json()["items"]) == MOST_WAITING

    def _upload(self, client: httpx.Client, number: int) -> None:
        # a trailing box of its own makes each file new to the service, and harms no decoder
        body = self._clip + (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big")
        sha256 = hashlib.sha256(body).hexdigest()
        self.unsure.add(sha256)
        answer = client.post(VIDEOS, files={"file": (f"{number}.mp4", body)})
        self.statuses[answer.status_code] += 1
        if answer.is_success:
            self.accepted.add(sha256)

    def _delete(self, client: httpx.Client) -> None:
        page = client.get(VIDEOS, params={"limit": 50, "status": "ready"})
        videos = page.json()["items"] if page.is_success else []
        if not videos:
            return
        video = self._random.choice(videos)
        self.deleting.add(video["sha256"])
        if client.delete(f"{VIDEOS}/{video['id']}").is_success:
            self.deleted.add(video["sha256"])


class Killer:
    """Kills one process after the other, and counts them; `killed` by the victim's name."""

    def __init__(self, api: Half, worker: Half, url: str, seed: int) -> None:
        self.killed: Counter[str] = Counter()
        self._worker = worker
        self._url = url
        self._chance = random.Random(seed)
        self._victims: dict[str, Callable[[], bool]] = {
            "api": lambda: self._kill_half(api),
            "worker": lambda: self._kill_half(worker),
            "decoder": lambda: self._kill_child(self._decoders),
            "fork server": lambda: self._kill_child(self._fork_servers),
        }

    def kill_one(self) -> None:
        """Kill a victim at some moment within the next seconds."""
        time.sleep(self._chance.uniform(0.0, 4.0))
        name = self._chance.choice(list(self._victims))
        while not self._victims[name]():
            name = self._chance.choice(list(self._victims))
        self.killed[name] += 1

    def _kill_half(self, half: Half) -> bool:
        half.kill()
        time.sleep(self._chance.choice([0.0, 0.0, 2.5]))  # sometimes longer than the lease
        half.start()
        if self._chance.random() < 0.7:  # else it is killed again while it starts
            wait_ready(self._url)
        return True

    def _kill_child(self, candidates: Callable[[], list[int]]) -> bool:
        """Kill one of the candidates as soon as there is any; False if none comes."""
        deadline = time.monotonic() + CATCH_S
        while time.monotonic() < deadline:
            for child in candidates():
                with contextlib.suppress(ProcessLookupError):  # it was done before
                    os.kill(child, signal.SIGKILL)
                    return True
            time.sleep(0.01)
        return False

    def _fork_servers(self) -> list[int]:
        return fork_servers(self._worker.pid)

    def _decoders(self) -> list[int]:
        found = [each for server in self._fork_servers() for each in children(server)]
        self._chance.shuffle(found)
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    choices = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="random-kills-"))
    console.print(f"{choices.kills} kills, seed {choices.seed}, in {folder}")
    status = run(folder, choices.kills, choices.seed)
    if status == 0:  # else its logs are needed
        shutil.rmtree(folder)
    return status


def run(folder: Path, kills: int, seed: int) -> int:
    port, worker_port = free_port(), free_port()
    environment = {name: v for name, v in os.environ.items() if not name.startswith("XCLIP_")}
    environment |= {
        "XCLIP_DATA_DIR": str(folder / "data"),
        "XCLIP_PORT": str(port),
        "XCLIP_WORKER_PORT": str(worker_port),
        "XCLIP_THREADS": "1",
        "XCLIP_LEASE_S": "2",
    }
    api, worker = (Half(half, environment, folder / f"{half}.log") for half in ("api", "worker"))
    url = f"http://127.0.0.1:{port}"
    clip = make_clip(folder / "clip.mp4", seed)
    api.start()
    worker.start()
    try:
        wait_ready(url)
        killer = Killer(api, worker, url, seed)
        with Traffic(url, clip, seed) as traffic:
            for number in range(1, kills + 1):
                killer.kill_one()
                if number % REPORT_EACH == 0:
                    console.print(f"{number} kills, {len(traffic.accepted)} videos accepted")
        wait_ready(url)
        outcome = await_outcome(url)
        return judge(outcome, traffic, killer, verify(environment))
    finally:
        api.stop()
        worker.stop()


def make_clip(path: Path, seed: int) -> bytes:
    """Half a minute of motion: a few tenths of a second of indexing."""
    random_numbers = np.random.default_rng(seed)
    subjects = random_numbers.choice(len(TRAINING), 4, replace=False)
    scenes = [(sample_scene(TRAINING[index], random_numbers), 5.0) for index in subjects]
    write_clip(path, scenes, 160, 120, 24, random_numbers)
    return path.read_bytes()


def wait_ready(url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=5).is_success:
                return
        time.sleep(0.1)
    raise AssertionError("the service does not come back")


@dataclass(frozen=True)
class Outcome:
    """What the service says at the end, once it has nothing left to do."""

    videos: list[dict[str, Any]]
    jobs: list[dict[str, Any]]
    removals_pending: int


def await_outcome(url: str) -> Outcome:
    with httpx.Client(base_url=url, timeout=60) as client:
        deadline = time.monotonic() + QUIET_S
        while any(video["status"] == "processing" for video in all_items(client, VIDEOS)):
            assert time.monotonic() < deadline, "videos are still being processed"
            time.sleep(0.5)
        pending = client.get("/v1/removals").json()["pending"]
        return Outcome(all_items(client, VIDEOS), all_items(client, "/v1/jobs"), pending)


def verify(environment: dict[str, str]) -> int:
    verified = subprocess.run(
        [sys.executable, "-m", "app.cli.main", "verify"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    console.print(verified.stdout)
    return verified.returncode


def judge(outcome: Outcome, traffic: Traffic, killer: Killer, verified: int) -> int:
    """Compare with what was promised and print both; 1 if a promise was broken."""
    found = [video["sha256"] for video in outcome.videos]
    attempts = Counter(job["attempts"] for job in outcome.jobs if job["status"] == "succeeded")
    facts: dict[str, object] = {f"kills: {name}": n for name, n in sorted(killer.killed.items())}
    facts |= {
        "answers to uploads": dict(traffic.statuses),
        "accepted": len(traffic.accepted),
        "deleted": len(traffic.deleted),
        "there": len(found),
        "jobs by attempts": dict(sorted(attempts.items())),
    }
    faults: dict[str, object] = {
        "missing": len((traffic.accepted - traffic.deleting) - set(found)),
        "double": len(found) - len(set(found)),
        "back after their deletion": len(set(found) & traffic.deleted),
        "never sent": len(set(found) - traffic.unsure),
        "videos failed": [v["error"] for v in outcome.videos if v["status"] != "ready"],
        "jobs failed": [job["error"] for job in outcome.jobs if job["status"] == "failed"],
        "answers 5xx but 503": sum(
            n for status, n in traffic.statuses.items() if status >= 500 and status != 503
        ),
        "removals pending": outcome.removals_pending,
        "status of verify": verified,
    }
    table = Table("", "", show_header=False)
    for name, value in facts.items():
        table.add_row(name, str(value))
    table.add_section()
    for name, value in faults.items():
        table.add_row(name, str(value))
    console.print(table)
    return 1 if any(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
