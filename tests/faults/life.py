"""One life of the service, which may end in the middle, and what must hold in the next one.

A life uploads clips, indexes them and deletes a video, and writes down what it was answered, as a
client would. `check_afterwards` opens the same folder again and compares.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from app import failpoints
from app.clock import SystemClock
from app.maintenance.verify import verify
from tests.app.stack import VIDEOS, Stack, open_stack
from xclip.encoder import Encoder
from xclip.encoders import load_encoder

CHOICES: dict[str, Any] = {"lease_s": 2.0, "min_free_bytes": 1}


class SkippingClock(SystemClock):
    """The machine's clock, hours on: leases of the dead expire, and waits end, when it skips."""

    def __init__(self) -> None:
        self._skipped = timedelta()

    def skip(self) -> None:
        """Let an hour pass."""
        self._skipped += timedelta(hours=1)

    def now(self) -> datetime:
        """The time of day, so many hours later."""
        return super().now() + self._skipped

    def monotonic(self) -> float:
        """Seconds, with those that were skipped."""
        return super().monotonic() + self._skipped.total_seconds()


@dataclass
class Journal:
    """What a client knows of a life: what it asked for, and what it was promised.

    `asked` are SHA-256 of clips that were sent, `accepted` those answered with 2xx; `deleting` and
    `deleted` are the same for deletions.
    """

    path: Path
    asked: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    deleting: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def note(self, kind: str, sha256: str) -> None:
        """Write one line at once: it must outlive the process."""
        with self.path.open("a") as file:
            file.write(json.dumps([kind, sha256]) + "\n")

    def read(self) -> Journal:
        """What has been written so far."""
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            kind, sha256 = json.loads(line)
            getattr(self, kind).add(sha256)
        return self


def sha256_of(clip: Path) -> str:
    return hashlib.sha256(clip.read_bytes()).hexdigest()


@contextmanager
def opened(folder: Path, encoder: Encoder, **choices: Any) -> Iterator[Stack]:
    """The service over the folder's data."""
    with open_stack(folder / "data", encoder, **CHOICES, **choices) as stack:
        yield stack


def live(folder: Path, checkpoint: Path, clips: list[Path], failures: str) -> None:
    """Run in a process of its own: arm the failpoints, then do what a user does."""
    encoder = load_encoder(str(checkpoint), device="cpu", num_threads=1)
    with opened(folder, encoder) as stack:
        failpoints.configure(failures)
        use(stack, Journal(folder / "journal"), clips)


def use(stack: Stack, journal: Journal, clips: list[Path]) -> None:
    """Upload the clips, see their jobs through, delete the oldest video; note every answer."""
    for clip in clips:
        upload(stack, journal, clip)
    try_to_work(stack)
    oldest = all_videos(stack)[-1]
    delete(stack, journal, oldest)
    try_to_work(stack)


def upload(stack: Stack, journal: Journal, clip: Path) -> httpx.Response:
    sha256 = sha256_of(clip)
    journal.note("asked", sha256)
    answer = stack.api.post(VIDEOS, files={"file": (clip.name, clip.read_bytes())})
    if answer.is_success:
        journal.note("accepted", sha256)
    return answer


def delete(stack: Stack, journal: Journal, video: dict[str, Any]) -> httpx.Response:
    journal.note("deleting", video["sha256"])
    answer = stack.api.delete(f"{VIDEOS}/{video['id']}")
    if answer.is_success:
        journal.note("deleted", video["sha256"])
    return answer


def work(stack: Stack) -> None:
    """Do every job that is due."""
    while stack.puller.run_one():
        pass


def try_to_work(stack: Stack, times: int = 5) -> None:
    """`work` as the worker's loop does it: what fails is left, and tried again a little later."""
    for _ in range(times):
        with suppress(Exception):
            work(stack)
            return


def work_to_the_end(stack: Stack, clock: SkippingClock, rounds: int = 5) -> None:
    """Do every job there is, those of the dead and those that wait after a failure too."""
    work(stack)  # sees what the dead have left
    for _ in range(rounds):
        clock.skip()
        work(stack)
        if all(video["status"] != "processing" for video in all_videos(stack)):
            return


def all_videos(stack: Stack) -> list[dict[str, Any]]:
    return stack.api.get(VIDEOS, params={"limit": 200}).json()["items"]


def check_afterwards(folder: Path, encoder: Encoder, present: set[str]) -> None:
    """Open the folder once more: nothing promised is missing, nothing is double, all is sound.

    present : SHA-256 of the clips that were indexed before
    """
    failpoints.configure("")
    journal = Journal(folder / "journal").read()
    clock = SkippingClock()
    with opened(folder, encoder, clock=clock) as stack:
        work_to_the_end(stack, clock)
        await_removals(stack)
        videos = all_videos(stack)
        found = [video["sha256"] for video in videos]
        assert len(found) == len(set(found)), "a video is there twice"
        assert {video["status"] for video in videos} <= {"ready"}, videos
        must = (present | journal.accepted) - journal.deleting
        may = (present | journal.asked) - journal.deleted
        assert must <= set(found) <= may
        check_segments(stack, videos)
        report = verify(stack.catalog, stack.storage)
        assert report.damage == []


def check_segments(stack: Stack, videos: list[dict[str, Any]]) -> None:
    """Every window of every video is there once and found once."""
    ids = []
    for video in videos:
        segments = stack.api.get(f"{VIDEOS}/{video['id']}/segments").json()["items"]
        assert [one["index"] for one in segments] == list(range(len(segments)))
        assert segments
        assert segments[-1]["end"] == video["duration_s"]
        ids += [one["id"] for one in segments]
    body = {"text": "a red circle moves left", "top_k": 200}
    answer = stack.api.post("/v1/collections/default/search", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    assert sorted(hit["segment_id"] for hit in answer.json()["results"]) == sorted(ids)


def await_removals(stack: Stack, patience_s: float = 60.0) -> None:
    """The housekeeping that runs when the service starts has taken off the disk what is deleted."""
    deadline = time.monotonic() + patience_s
    while stack.api.get("/v1/removals").json()["pending"]:
        assert time.monotonic() < deadline, "removals are left undone"
        time.sleep(0.02)
