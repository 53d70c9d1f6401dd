"""The long run: kill the API or the worker at random moments while it takes, indexes and deletes.

    python -m tests.faults.random_kills --kills 200 [--seed N]

Real processes, real sockets. Traffic goes on through the restarts; a client that got no answer asks
again, as clients do. At the end every accepted video is there once, none that was deleted is, and
`verify` finds no damage.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
from rich.console import Console
from rich.progress import track

from tests.e2e.service import all_items, free_port
from xclip.motion.clips import write_clip
from xclip.motion.world import TRAINING, sample_scene

VIDEOS = "/v1/collections/default/videos"
START_S = 90.0
QUIET_S = 180.0
console = Console()


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
        assert self._process is not None
        assert self._process.poll() is None, f"the {self.name} had died by itself: {self._log}"
        self._process.kill()
        self._process.wait()

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
                    self._upload(client, number)
                    if self._random.random() < 0.4:
                        self._delete(client)

    def _upload(self, client: httpx.Client, number: int) -> None:
        # a trailing box of its own makes each file new to the service, and harms no decoder
        body = self._clip + (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big")
        sha256 = hashlib.sha256(body).hexdigest()
        self.unsure.add(sha256)
        answer = client.post(VIDEOS, files={"file": (f"{number}.mp4", body)})
        if answer.is_success:
            self.accepted.add(sha256)
        assert answer.status_code < 500 or answer.status_code in (503, 507), answer.text

    def _delete(self, client: httpx.Client) -> None:
        page = client.get(VIDEOS, params={"limit": 50, "status": "ready"})
        videos = page.json()["items"] if page.is_success else []
        if not videos:
            return
        video = self._random.choice(videos)
        self.deleting.add(video["sha256"])
        if client.delete(f"{VIDEOS}/{video['id']}").is_success:
            self.deleted.add(video["sha256"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    choices = parser.parse_args()
    console.print(f"{choices.kills} kills, seed {choices.seed}")
    with tempfile.TemporaryDirectory(prefix="random-kills-") as name:
        return run(Path(name), choices.kills, choices.seed)


def run(folder: Path, kills: int, seed: int) -> int:
    chance = random.Random(seed)
    port, worker_port = free_port(), free_port()
    environment = {name: v for name, v in os.environ.items() if not name.startswith("XCLIP_")}
    environment |= {
        "XCLIP_DATA_DIR": str(folder / "data"),
        "XCLIP_PORT": str(port),
        "XCLIP_WORKER_PORT": str(worker_port),
        "XCLIP_THREADS": "1",
        "XCLIP_LEASE_S": "2",
        "XCLIP_MAX_ATTEMPTS": "100",  # each kill of a worker costs the job in progress an attempt
    }
    halves = [Half(half, environment, folder / f"{half}.log") for half in ("api", "worker")]
    url = f"http://127.0.0.1:{port}"
    clip = make_clip(folder / "clip.mp4", seed)
    for half in halves:
        half.start()
    try:
        wait_ready(url)
        with Traffic(url, clip, seed) as traffic:
            for _ in track(range(kills), "kills", console=console):
                time.sleep(chance.uniform(0.0, 4.0))
                victim = chance.choice(halves)
                victim.kill()
                time.sleep(chance.choice([0.0, 0.0, 2.5]))  # sometimes longer than the lease
                victim.start()
                if chance.random() < 0.7:  # else it is killed again while it starts
                    wait_ready(url)
        wait_ready(url)
        return judge(url, traffic, environment)
    finally:
        for half in halves:
            half.stop()


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


def judge(url: str, traffic: Traffic, environment: dict[str, str]) -> int:
    """Wait until nothing is left to do, compare with what was promised, print and verify."""
    with httpx.Client(base_url=url, timeout=30) as client:
        deadline = time.monotonic() + QUIET_S
        while any(video["status"] == "processing" for video in all_items(client, VIDEOS)):
            assert time.monotonic() < deadline, "videos are still being processed"
            time.sleep(0.5)
        videos: list[dict[str, Any]] = all_items(client, VIDEOS)
        pending = client.get("/v1/removals").json()["pending"]
    found = [video["sha256"] for video in videos]
    missing = (traffic.accepted - traffic.deleting) - set(found)
    risen = set(found) & traffic.deleted
    failed = [video["error"] for video in videos if video["status"] != "ready"]
    stranger = set(found) - traffic.unsure
    verified = subprocess.run(
        [sys.executable, "-m", "app.cli.main", "verify"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    console.print(verified.stdout)
    console.print(
        f"accepted {len(traffic.accepted)}, deleted {len(traffic.deleted)}, there {len(found)}; "
        f"missing {len(missing)}, double {len(found) - len(set(found))}, risen {len(risen)}, "
        f"unknown {len(stranger)}, failed {failed}, removals pending {pending}, "
        f"verify {verified.returncode}"
    )
    bad = missing or risen or failed or stranger or pending or len(found) != len(set(found))
    return 1 if bad or verified.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
