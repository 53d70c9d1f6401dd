"""Killed at any moment, the service loses no accepted video and shows none twice."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.e2e.service import Service, all_items, running, upload, wait_for_job
from xclip.motion.clips import write_clip
from xclip.motion.world import TRAINING, sample_scene

CLIPS = 12
FEW = 3
LEASE_S = "2"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve different clips of two minutes, long enough to be caught in the middle."""
    folder = tmp_path_factory.mktemp("clips")
    random = np.random.default_rng(11)
    files = []
    for number in range(CLIPS):
        subjects = random.choice(len(TRAINING), 8, replace=False)
        scenes = [(sample_scene(TRAINING[index], random), 5.0) for index in subjects]
        file = folder / f"clip-{number:02d}.mp4"
        write_clip(file, scenes, 160, 120, 24, random)
        files.append(file)
    return files


def wait_for_work(client: httpx.Client) -> None:
    """Wait until at least one video is in and one is being worked on."""
    for _ in range(600):
        statuses = [job["status"] for job in all_items(client, "/v1/jobs")]
        if "succeeded" in statuses and "running" in statuses:
            return
        time.sleep(0.02)
    raise AssertionError("no job was caught in the middle")


@pytest.mark.parametrize(
    "victims", [("worker",), ("api",), ("api", "worker"), ("serve", "api", "worker")]
)
def test_kill_9_in_the_middle_of_an_ingest_loses_nothing_and_doubles_nothing(
    victims: tuple[str, ...], clips: list[Path], tmp_path: Path
) -> None:
    """Every upload that was answered 202 becomes searchable after the restart, exactly once."""
    with running(tmp_path / "data", XCLIP_LEASE_S=LEASE_S) as service, service.client() as client:
        jobs = []
        for clip in clips:
            answer = upload(client, clip)
            assert answer.status_code == httpx.codes.ACCEPTED, answer.text
            jobs.append(answer.json()["job"]["id"])
        wait_for_work(client)
        service.kill(*victims)
        if "serve" in victims:  # nobody is left to restart anything
            service.wait_dead()
            service.start()
            client.base_url = httpx.URL(service.url)
        ended = [wait_for_job(client, job) for job in jobs]
        assert [job["status"] for job in ended] == ["succeeded"] * CLIPS
        check_library(client)


@pytest.mark.parametrize("victim", ["decoder", "fork server"])
def test_a_decoder_killed_from_outside_costs_no_video(
    victim: str, clips: list[Path], tmp_path: Path
) -> None:
    """As the out-of-memory killer does it; the jobs get their next attempt."""
    with running(tmp_path / "data") as service, service.client() as client:
        jobs = kill_until_a_job_loses_an_attempt(service, client, victim, clips)
        ended = [wait_for_job(client, job) for job in jobs]
        assert {job["status"] for job in ended} == {"succeeded"}
        assert max(job["attempts"] for job in ended) > 1
        check_library(client, len(jobs))


def kill_until_a_job_loses_an_attempt(
    service: Service, client: httpx.Client, victim: str, clips: list[Path]
) -> list[str]:
    """Upload clips one by one and kill what decodes them, each process once; return the jobs.

    A decoder that has handed over its last segment costs its job nothing, so one kill may not be
    enough. Decoders are looked for before the jobs are: where no job has lost an attempt, each
    decoder is at its job's first one, and no job loses two.
    """
    jobs: list[str] = []
    killed: set[int] = set()
    for clip in clips:
        jobs.append(upload(client, clip).json()["job"]["id"])
        deadline = time.monotonic() + 300
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


def check_library(client: httpx.Client, count: int = CLIPS) -> None:
    """Every clip is there once, with each of its windows once, and search finds all of them."""
    videos = all_items(client, "/v1/collections/default/videos")
    assert len({video["sha256"] for video in videos}) == len(videos) == count
    assert {video["status"] for video in videos} == {"ready"}
    segments: list[str] = []
    for video in videos:
        rows = client.get(f"/v1/collections/default/videos/{video['id']}/segments").json()["items"]
        assert [row["start"] for row in rows] == [2.5 * number for number in range(15)]
        segments += [row["id"] for row in rows]
    found = client.post(
        "/v1/collections/default/search", json={"text": "a red circle moving left", "top_k": 200}
    ).json()
    assert found["index"]["segments_total"] == len(segments) == 15 * count
    hits = [result["segment_id"] for result in found["results"]]
    assert sorted(hits) == sorted(segments)


def test_a_worker_that_dies_is_started_again_by_serve(tmp_path: Path) -> None:
    """Without anyone's help, the service is ready again after its worker was killed."""
    with running(tmp_path / "data") as service, service.client() as client:
        before = service.process_ids()
        service.kill("worker")
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            after = service.process_ids()
            if after.get("worker") not in (None, before["worker"]):
                ready = client.get("/readyz").status_code
                if ready == httpx.codes.OK:
                    break
            time.sleep(0.2)
        else:
            raise AssertionError(f"the worker did not come back: {service.log.read_text()}")
        assert after["api"] == before["api"]


def test_sigterm_stops_everything_cleanly(tmp_path: Path, clips: list[Path]) -> None:
    """Stopped in the middle of an ingest, all processes are gone in seconds, with status 0."""
    service = Service(tmp_path / "data")
    service.start()
    ids = service.process_ids()
    assert set(ids) == {"serve", "api", "worker"}
    with service.client() as client:
        job = upload(client, clips[0]).json()["job"]["id"]
    started = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - started < 10
    assert not any(Path(f"/proc/{number}").exists() for number in ids.values())
    service.start()  # and what it was at is done after the next start
    try:
        with service.client() as client:
            assert wait_for_job(client, job)["status"] == "succeeded"
    finally:
        service.stop()
