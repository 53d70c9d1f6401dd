"""Real processes while the machine's time of day is set by hours, under libfaketime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from app.catalog import Catalog
from tests.app.catalog.samples import new_video

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
PATIENCE_S = 120.0  # that nothing hangs for ever

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="needs Debian's package faketime")


class Machine:
    """A catalog with one job, processes on it, and a clock that they all read."""

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog.open(f"sqlite:///{folder / 'catalog.sqlite'}")
        self.catalog.create_collection("default", model="m", window_s=5.0, stride_s=2.5)
        self.job_id = self.catalog.add_video_with_job("default", new_video(0))[1].id
        self._url = f"sqlite:///{folder / 'catalog.sqlite'}"
        self._offset = folder / "offset"
        self._processes: list[subprocess.Popen[str]] = []
        self.set_clock(0)

    def set_clock(self, hours: int) -> None:
        """For every process, from now on: so many hours from the right time."""
        written = self._offset.with_suffix(".new")
        written.write_text(f"{hours * 3600:+d}")
        written.replace(self._offset)

    def start(self, lease_s: float) -> subprocess.Popen[str]:
        """One more process."""
        faked = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.clock_peer", self._url, str(lease_s)],
            env=os.environ | faked,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """End every process."""
        for process in self._processes:
            process.kill()
            process.communicate()
        self.catalog.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    opened = Machine(tmp_path)
    yield opened
    opened.close()


def ask(process: subprocess.Popen[str], order: str) -> Any:
    """Its answer to one order."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{order}\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def test_an_hour_forward_takes_no_job_from_a_live_process(machine: Machine) -> None:
    """Another one, which saw the job before, asks again and again and gets nothing."""
    holder, seeker = machine.start(60), machine.start(60)
    assert ask(holder, "hold") == machine.job_id
    assert ask(seeker, "hold") is None
    before = datetime.fromisoformat(ask(seeker, "time"))
    machine.set_clock(1)
    after = datetime.fromisoformat(ask(seeker, "time"))
    assert (after - before).total_seconds() >= 3600, "the clock was not set"
    assert [ask(seeker, "hold") for _ in range(10)] == [None] * 10
    job = machine.catalog.get_job(machine.job_id)
    assert (job.status, job.attempts) == ("running", 1)


def test_an_hour_back_keeps_no_job_for_a_dead_process(machine: Machine) -> None:
    """One that starts after both has it once a lease and a pause have passed."""
    holder = machine.start(1)
    assert ask(holder, "hold") == machine.job_id
    holder.kill()
    holder.wait()
    machine.set_clock(-1)
    seeker = machine.start(1)
    deadline = time.monotonic() + PATIENCE_S
    while ask(seeker, "hold") is None:
        assert time.monotonic() < deadline, "nobody takes the job over"
        time.sleep(0.1)
    assert machine.catalog.get_job(machine.job_id).attempts == 2
