"""Leases at the moments that decide: the second they end, and many claims at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.catalog import Catalog
from app.catalog.errors import LeaseLost
from app.catalog.records import Job
from app.catalog.sql.jobs import FIRST_PAUSE_S, LONGEST_PAUSE_S
from tests.app.catalog.samples import HandClock, claim, complete, new_video

TICK = timedelta(microseconds=1)
LEASE_S = 30.0


class WholePauses:
    """Random bytes by which no pause is shortened."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, count: int) -> bytes:
        self.drawn += 1
        return bytes(4) if count == 4 else self.drawn.to_bytes(count, "big")


@pytest.fixture
def exact(url: str, clock: HandClock) -> Iterator[Catalog]:
    """A catalog whose pauses are as long as they can be, and whose jobs have two attempts."""
    with Catalog.open(
        url, clock=clock, entropy=WholePauses(), max_attempts=2, max_lost=2
    ) as catalog:
        catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
        catalog.add_video_with_job("default", new_video(0))
        yield catalog


def test_a_lease_ends_at_its_end(exact: Catalog, clock: HandClock) -> None:
    """A microsecond before, the job is its worker's; at the moment itself it is anybody's."""
    job, _ = claim(exact, LEASE_S)
    clock.time = job.lease_expires_at - TICK
    assert exact.claim_job("other", LEASE_S) is None
    assert exact.get_job(job.id).status == "running"
    clock.time += TICK
    exact.claim_job("other", LEASE_S)
    assert exact.get_job(job.id).status == "queued"


def test_a_pause_ends_at_its_end(exact: Catalog, clock: HandClock) -> None:
    """The job is due from the very moment that it names."""
    job, token = claim(exact)
    waiting = exact.fail_job(job.id, token, code="c", message="m", retry=True)
    assert waiting.not_before == clock.now() + timedelta(seconds=FIRST_PAUSE_S)
    clock.time = waiting.not_before - TICK
    assert exact.claim_job("worker", LEASE_S) is None
    clock.time += TICK
    assert claim(exact)[0].id == job.id


@pytest.mark.parametrize("late", [0.0, 1e-6, 1000.0])
def test_a_late_worker_may_end_a_job_that_nobody_has_taken(
    exact: Catalog, clock: HandClock, late: float
) -> None:
    """Its lease is over, but the work is done and nobody else has begun it."""
    job, token = claim(exact, LEASE_S)
    clock.advance(LEASE_S + late)
    assert complete(exact, job, token).status == "succeeded"
    assert exact.claim_job("other", LEASE_S) is None


def test_a_job_found_abandoned_is_no_longer_its_workers(exact: Catalog, clock: HandClock) -> None:
    """Once a claim has put it back, the worker that comes after all is too late."""
    job, token = claim(exact, LEASE_S)
    clock.advance(LEASE_S)
    exact.claim_job("other", LEASE_S)
    assert not exact.heartbeat(job.id, token, stage="s", progress=0.5, lease_s=LEASE_S)
    for end in (
        lambda: complete(exact, job, token),
        lambda: exact.fail_job(job.id, token, code="c", message="m", retry=False),
        lambda: exact.postpone_job(job.id, token, code="c", message="m", wait_s=1),
    ):
        with pytest.raises(LeaseLost):
            end()
    assert exact.get_job(job.id).attempts == 1


def test_only_the_lease_of_the_last_attempt_exhausts_a_job(
    exact: Catalog, clock: HandClock
) -> None:
    """Of two attempts the first loss is waited for, the second is the end; the claim goes on."""
    clock.advance(1)
    _, next_job, _ = exact.add_video_with_job("default", new_video(1))
    job, _ = claim(exact, LEASE_S)
    clock.advance(LEASE_S)
    held, token = claim(exact)
    assert held.id == next_job.id
    exact.release_job(held.id, token)
    clock.advance(LONGEST_PAUSE_S)
    assert claim(exact, LEASE_S)[0].id == job.id
    clock.advance(LEASE_S)
    assert claim(exact)[0].id == next_job.id
    ended = exact.get_job(job.id)
    assert (ended.status, ended.attempts, ended.error_code) == ("failed", 2, "attempts_exhausted")


def test_attempts_that_were_postponed_or_released_are_never_used_up(
    exact: Catalog, clock: HandClock
) -> None:
    """However often: what was not the job's own fault does not count."""
    for turn in range(6):
        job, token = claim(exact)
        assert job.attempts == 1
        if turn % 2:
            exact.release_job(job.id, token)
        else:
            exact.postpone_job(job.id, token, code="full", message="Full.", wait_s=60)
            clock.advance(60)


def test_many_claims_at_once_share_out_the_jobs(catalog: Catalog, clock: HandClock) -> None:
    """Eight threads, five jobs: each job goes to one of them, and three get none."""
    expected = set()
    for number in range(5):
        clock.advance(1)
        expected.add(catalog.add_video_with_job("default", new_video(number))[1].id)
    together = threading.Barrier(8)

    def claim_one(number: int) -> Job | None:
        together.wait()
        return catalog.claim_job(f"worker {number}", LEASE_S)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(claim_one, range(8)))
    jobs = [job for job in found if job is not None]
    assert len(jobs) == 5
    assert {job.id for job in jobs} == expected
    assert len({job.lease_token for job in jobs}) == 5
    assert all(job.lease_owner == f"worker {found.index(job)}" for job in jobs)


def test_one_of_many_takes_over_an_abandoned_job(catalog: Catalog, clock: HandClock) -> None:
    """Claims that find the same lease run out put the job back once, and count one attempt."""
    catalog.add_video_with_job("default", new_video(0))
    job, _ = claim(catalog, LEASE_S)
    clock.advance(LEASE_S)
    together = threading.Barrier(4)

    def claim_one(number: int) -> Job | None:
        together.wait()
        return catalog.claim_job(f"worker {number}", LEASE_S)

    before = catalog.get_job(job.id).revision
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(claim_one, range(4))) == [None] * 4
    put_back = catalog.get_job(job.id)
    assert (put_back.status, put_back.attempts) == ("queued", 1)
    assert put_back.revision == before + 1
    clock.advance(LONGEST_PAUSE_S)
    together.reset()
    with ThreadPoolExecutor(4) as pool:
        taken = [one for one in pool.map(claim_one, range(4)) if one is not None]
    assert [(one.id, one.attempts) for one in taken] == [(job.id, 2)]
