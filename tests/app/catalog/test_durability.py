"""A process that is killed loses nothing it had acknowledged, and leaves nothing half done."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.catalog import Catalog
from tests.app.catalog.samples import follow

# Adds, ingests and deletes videos as fast as it can, and says so after each step that returned.
CHILD = """
import json, sys
from app.catalog import Catalog
from tests.app.catalog.samples import complete, new_video

catalog = Catalog.open(sys.argv[1])
catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
def say(*event):
    print(json.dumps(event), flush=True)
run, videos = sys.argv[2], []
for number in range(1_000_000):
    video, _, _ = catalog.add_video_with_job("default", new_video((run, number)))
    say("added", video.id)
    job = catalog.claim_job(run, 1e6)
    complete(catalog, job, job.lease_token, count=5)
    say("ready", job.video_id)
    videos.append(job.video_id)
    if number % 3 == 2:
        say("deleting", videos[0])
        catalog.delete_video("default", videos[0])
        say("deleted", videos.pop(0))
"""


def run_and_kill(url: str, run: str, chance: random.Random) -> list[list[str]]:
    """What the child acknowledged before it was killed in the middle of something."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, url, run],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(chance.randint(6, 40))]
        time.sleep(0.02 * chance.random())
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
    return [json.loads(line) for line in lines if line.endswith("\n")]


def present(catalog: Catalog) -> dict[str, str]:
    """Status by id of every video there is."""
    return {video.id: video.status for video in catalog.list_videos("default", limit=100_000).items}


@pytest.mark.parametrize("seed", range(2))
def test_nothing_acknowledged_is_lost_to_a_kill(url: str, seed: int) -> None:
    """Killed and started again: every step that returned holds, every video is whole or absent."""
    chance = random.Random(seed)
    events = [event for run in range(2) for event in run_and_kill(url, f"run-{seed}-{run}", chance)]
    named = {kind: {id_ for each, id_ in events if each == kind} for kind in ("added", "ready")}
    deleted = {id_ for kind, id_ in events if kind == "deleted"}
    deleting = {id_ for kind, id_ in events if kind == "deleting"}
    with Catalog.open(url) as catalog:
        status = present(catalog)
        assert named["added"] - deleting <= status.keys()
        assert {"ready"} >= {status[id_] for id_ in named["ready"] - deleting}
        assert not deleted & status.keys()
        whole = {"ready": 5, "processing": 0}
        for id_, state in status.items():
            assert whole[state] == len(catalog.list_segments("default", id_))
        collection = catalog.get_collection("default")
        sequence, vectors = follow(catalog, collection.id, 0, {}, 10_000)
        assert collection.sequence == sequence
        assert catalog.count_segments("default") == len(vectors)
