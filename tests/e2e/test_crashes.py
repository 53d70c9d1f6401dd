"""Crash recovery: killed at any moment, the service loses no accepted video, shows none twice."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.e2e.service import JOB_TIMEOUT_S, Service, all_items, running, upload, wait_for_job
from xclip.motion.clips import write_clip
from xclip.motion.world import TRAINING, sample_scene

AT_ONCE = 3  # one that is in, one that is being worked on, one that waits
MOST_CLIPS = 12
WINDOWS = 15


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """For all tests here, each with a collection of its own."""
    data = tmp_path_factory.mktemp("service") / "data"
    settings = {"XCLIP_LEASE_S": "2", "XCLIP_SHUTDOWN_GRACE_S": "100"}
    with running(data, **settings) as service:
        yield service


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Clips of forty seconds without end, long enough to be caught in the middle, all different."""
    folder = tmp_path_factory.mktemp("clips")
    random = np.random.default_rng(11)
    subjects = random.choice(len(TRAINING), 8, replace=False)
    scenes = [(sample_scene(TRAINING[index], random), 5.0) for index in subjects]
    write_clip(folder / "clip.mp4", scenes, 160, 120, 24, random)
    return (with_number(folder / "clip.mp4", number) for number in itertools.count())


def with_number(clip: Path, number: int) -> Path:
    """A copy in another file, new to the service by a box at its end that no decoder reads."""
    copy = clip.with_name(f"clip-{number:02d}.mp4")
    copy.write_bytes(clip.read_bytes() + b"\0\0\0\x0cfree" + number.to_bytes(4, "big"))
    return copy


def upload_next(client: httpx.Client, clips: Iterator[Path], collection: str) -> str:
    """Upload the next clip; its job."""
    answer = upload(client, next(clips), collection=collection)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return str(answer.json()["job"]["id"])


def wait_for_work(client: httpx.Client, jobs: list[str]) -> None:
    """Wait until at least one video is in and one is being worked on."""
    deadline = time.monotonic() + JOB_TIMEOUT_S
    while time.monotonic() < deadline:
        statuses = [client.get(f"/v1/jobs/{job}").json()["status"] for job in jobs]
        if "succeeded" in statuses and "running" in statuses:
            return
        time.sleep(0.02)
    raise AssertionError("no job was caught in the middle")


@pytest.mark.parametrize(
    "victims", [("worker",), ("api",), ("api", "worker"), ("serve", "api", "worker")]
)
def test_kill_9_in_the_middle_of_an_ingest_loses_nothing_and_doubles_nothing(
    victims: tuple[str, ...], service: Service, clips: Iterator[Path]
) -> None:
    """What was answered 202 becomes searchable once; what dies, and only that, starts anew."""
    collection = "-".join(victims)
    before = service.process_ids()
    with service.client() as client:
        client.put(f"/v1/collections/{collection}").raise_for_status()
        jobs = [upload_next(client, clips, collection) for _ in range(AT_ONCE)]
        wait_for_work(client, jobs)
    service.kill(*victims)
    if "serve" in victims:  # nobody is left to restart anything
        service.wait_dead()
        service.start()
    with service.client() as client:
        ended = [wait_for_job(client, job) for job in jobs]
        assert [job["status"] for job in ended] == ["succeeded"] * AT_ONCE
        check_collection(client, collection, AT_ONCE)
    after = service.process_ids()
    assert {name for name in before if after[name] != before[name]} == set(victims)


@pytest.mark.parametrize("victim", ["decoder", "fork server"])
def test_a_decoder_killed_from_outside_costs_no_video(
    victim: str, service: Service, clips: Iterator[Path]
) -> None:
    """As the out-of-memory killer does it; the jobs get their next attempt."""
    collection = victim.replace(" ", "-")
    with service.client() as client:
        client.put(f"/v1/collections/{collection}").raise_for_status()
        jobs = kill_until_a_job_loses_an_attempt(service, client, victim, clips)
        ended = [wait_for_job(client, job) for job in jobs]
        assert {job["status"] for job in ended} == {"succeeded"}
        assert max(job["attempts"] for job in ended) > 1
        check_collection(client, collection, len(jobs))


def kill_until_a_job_loses_an_attempt(
    service: Service, client: httpx.Client, victim: str, clips: Iterator[Path]
) -> list[str]:
    """Upload clips one by one and kill what decodes them, each process once; return the jobs.

    A decoder that has handed over its last segment costs its job nothing, so one kill may not be
    enough. Decoders are looked for before the jobs are: where no job has lost an attempt, each
    decoder is at its job's first one, and no job loses two.
    """
    jobs: list[str] = []
    killed: set[int] = set()
    for _ in range(MOST_CLIPS):
        jobs.append(upload_next(client, clips, victim.replace(" ", "-")))
        deadline = time.monotonic() + JOB_TIMEOUT_S
        while time.monotonic() < deadline:
            servers, decoders = service.decoder_ids()
            job = client.get(f"/v1/jobs/{jobs[-1]}").json()
            if job["error"] or job["attempts"] > 1:
                return jobs
            if job["status"] == "succeeded":
                break
            for each in set(servers if victim == "fork server" and decoders else decoders) - killed:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
                killed.add(each)
        else:
            raise AssertionError(f"the job does not end: {job}")
    raise AssertionError(f"{len(killed)} kills cost none of {len(jobs)} jobs an attempt")


def check_collection(client: httpx.Client, collection: str, count: int) -> None:
    """Every clip is there once, with each of its windows once, and search finds all of them."""
    path = f"/v1/collections/{collection}"
    videos = all_items(client, f"{path}/videos")
    assert len({video["sha256"] for video in videos}) == len(videos) == count
    assert {video["status"] for video in videos} == {"ready"}
    segments: list[str] = []
    for video in videos:
        rows = client.get(f"{path}/videos/{video['id']}/segments").json()["items"]
        assert [row["start"] for row in rows] == [2.5 * number for number in range(WINDOWS)]
        segments += [row["id"] for row in rows]
    body = {"text": "a red circle moving left", "top_k": 200}
    found = client.post(f"{path}/search", json=body).json()
    assert found["index"]["segments_total"] == len(segments) == WINDOWS * count
    hits = [result["segment_id"] for result in found["results"]]
    assert sorted(hits) == sorted(segments)


def test_sigterm_stops_everything_cleanly(service: Service, clips: Iterator[Path]) -> None:
    """Stopped in the middle of an ingest, all processes end by themselves, with status 0."""
    ids = service.process_ids()
    assert set(ids) == {"serve", "api", "worker"}
    with service.client() as client:
        job = upload_next(client, clips, "default")
    assert service.stop() == 0
    assert "is killed" not in service.log.read_text()
    assert not any(Path(f"/proc/{number}").exists() for number in ids.values())
    service.start()  # and what it was at is done after the next start
    with service.client() as client:
        assert wait_for_job(client, job)["status"] == "succeeded"
