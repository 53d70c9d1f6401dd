"""Clocks that are set while jobs run and pause: only time that passes ends a lease or a pause."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.catalog import Catalog
from app.catalog.sql import jobs
from app.catalog.sql.jobs import LONGEST_PAUSE_S
from tests.app.catalog.samples import HandClock, claim, new_video

LEASE_S = 30.0
JUMPS = pytest.mark.parametrize("hours", [-25, -1, -0.02, 0.02, 1, 25])


@pytest.fixture
def other(url: str, catalog: Catalog, clock: HandClock) -> Iterator[Catalog]:
    """Another process of the same machine, with one job in the queue."""
    catalog.add_video_with_job("default", new_video(0))
    with Catalog.open(url, clock=clock) as opened:
        yield opened


@JUMPS
def test_a_jump_takes_no_job_from_a_live_worker(
    catalog: Catalog, other: Catalog, clock: HandClock, hours: float
) -> None:
    """Neither another process nor its own takes it, before the next heartbeat or after it."""
    job, token = claim(catalog, LEASE_S)
    assert other.claim_job("other", LEASE_S) is None
    for back in (1, -1, -1, 1):
        clock.jump(back * hours)
        for asked in (catalog, other):
            assert asked.claim_job("other", LEASE_S) is None
        clock.advance(1)
        assert catalog.heartbeat(job.id, token, stage="s", progress=0.5, lease_s=LEASE_S)
    clock.advance(LEASE_S - 1)
    assert catalog.claim_job("other", LEASE_S) is None
    assert catalog.get_job(job.id).lease_token == token


@JUMPS
def test_a_jump_keeps_no_job_for_a_dead_worker(
    catalog: Catalog, other: Catalog, clock: HandClock, hours: float
) -> None:
    """It is another's one lease and one pause after the last heartbeat that was seen."""
    job, _ = claim(catalog, LEASE_S)
    assert other.claim_job("other", LEASE_S) is None
    clock.jump(hours)
    clock.advance(LEASE_S)
    assert other.claim_job("other", LEASE_S) is None
    assert other.get_job(job.id).error_code == "worker_lost"
    clock.jump(-2 * hours)
    clock.advance(LONGEST_PAUSE_S)
    assert claim(other)[0].id == job.id


@JUMPS
def test_a_jump_neither_ends_a_pause_nor_prolongs_it(
    catalog: Catalog, other: Catalog, clock: HandClock, hours: float
) -> None:
    """In the process that wrote it and in one that has seen it."""
    job, token = claim(catalog)
    put_off = {"code": "storage_full", "message": "Full.", "wait_s": 60.0}
    catalog.postpone_job(job.id, token, **put_off)
    assert other.claim_job("other", LEASE_S) is None
    clock.jump(hours)
    clock.advance(59)
    for asked in (catalog, other):
        assert asked.claim_job("other", LEASE_S) is None
    clock.advance(1)
    assert other.claim_job("other", LEASE_S) is not None


def test_a_process_that_begins_after_a_jump_waits_no_longer_than_any_pause_lasts(
    url: str, catalog: Catalog, other: Catalog, clock: HandClock
) -> None:
    """It has not seen when the pause began, and the row names a time hours away."""
    job, token = claim(catalog)
    catalog.fail_job(job.id, token, code="c", message="m", retry=True)
    clock.jump(-5)
    with Catalog.open(url, clock=clock) as late:
        assert late.claim_job("late", LEASE_S) is None
        clock.advance(LONGEST_PAUSE_S)
        assert claim(late)[0].id == job.id


def test_a_process_that_has_just_begun_waits_for_a_whole_lease(
    url: str, catalog: Catalog, other: Catalog, clock: HandClock
) -> None:
    """It cannot know whether the clock was set or the holder is dead."""
    job, _ = claim(catalog, LEASE_S)
    clock.jump(1)
    with Catalog.open(url, clock=clock) as late:
        assert late.claim_job("late", LEASE_S) is None
        clock.advance(LEASE_S - 1)
        assert late.claim_job("late", LEASE_S) is None
        assert late.get_job(job.id).status == "running"
        clock.advance(1)
        assert late.claim_job("late", LEASE_S) is None
        assert late.get_job(job.id).status == "queued"


def test_of_very_many_that_pause_each_has_its_turn(
    catalog: Catalog, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beyond those that one claim looks at."""
    monkeypatch.setattr(jobs, "PAUSING_SEEN", 2)
    count = 5
    for number in range(count):
        catalog.add_video_with_job("default", new_video(number))
        job, token = claim(catalog)
        catalog.postpone_job(job.id, token, code="c", message="m", wait_s=60)
    clock.advance(60)
    assert len({claim(catalog, 1e6)[0].id for _ in range(count)}) == count
