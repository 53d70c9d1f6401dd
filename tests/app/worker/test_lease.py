"""The lease: kept while the work lasts, and its loss reaches the work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.catalog.records import Job
from app.clock import SystemClock
from app.worker.lease import JobProgress, Lease

from .conftest import Parts

LEASE_S = 0.6


@pytest.fixture
def claimed(parts: Parts, make_clip: Callable[..., Path]) -> Job:
    parts.upload(make_clip(seconds=1))
    job = parts.catalog.claim_job("wrk_1", LEASE_S)
    assert job is not None
    return job


def hold(parts: Parts, job: Job, stopping: threading.Event | None = None) -> Lease:
    stop = stopping or threading.Event()
    return Lease(parts.catalog, job, LEASE_S, SystemClock(), stop, lambda _: None, lambda: False)


def eventually(condition: Callable[[], bool], within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_job_in_progress_is_not_given_to_another(parts: Parts, claimed: Job) -> None:
    """Work that outlasts the lease keeps it by its heartbeats."""
    with hold(parts, claimed) as lease:
        time.sleep(2 * LEASE_S)
        assert parts.catalog.claim_job("wrk_2", LEASE_S) is None
        assert not lease.should_stop()


def test_the_catalog_hears_stage_and_progress(parts: Parts, claimed: Job) -> None:
    """What a person sees of a job is at most about a second old."""
    with hold(parts, claimed) as lease:
        lease.report(JobProgress("encode", 0.25, (2.0, 8.0)))
        assert eventually(lambda: parts.catalog.get_job(claimed.id).progress == 0.25)
        seen = parts.catalog.get_job(claimed.id)
        assert (seen.stage, seen.seconds_done, seen.seconds_total) == ("encode", 2.0, 8.0)


def test_a_cancelled_job_stops_its_work(parts: Parts, claimed: Job) -> None:
    """The work learns of it at the next heartbeat."""
    with hold(parts, claimed) as lease:
        parts.catalog.cancel_job(claimed.id)
        assert eventually(lease.should_stop)
        assert lease.lost


def test_a_job_taken_over_stops_its_first_work(parts: Parts, claimed: Job) -> None:
    """A worker that slept through its lease must not commit beside its successor."""
    time.sleep(1.5 * LEASE_S)
    assert parts.catalog.claim_job("wrk_2", LEASE_S) is None  # abandoned: it waits a little
    parts.catalog.retry_job(claimed.id)
    taken = parts.catalog.claim_job("wrk_2", LEASE_S)
    assert taken is not None
    with hold(parts, claimed) as lease:
        assert eventually(lambda: lease.lost)


def test_a_stopping_worker_stops_its_work_without_losing_the_lease(
    parts: Parts, claimed: Job
) -> None:
    """The job can then be given back."""
    stopping = threading.Event()
    with hold(parts, claimed, stopping) as lease:
        stopping.set()
        assert lease.should_stop()
        assert not lease.lost


def test_a_catalog_that_is_away_longer_than_the_lease_loses_it(parts: Parts, claimed: Job) -> None:
    """By then somebody else may hold the job."""
    with hold(parts, claimed) as lease:
        blocker = parts.settings.data_dir / "catalog.sqlite"
        for file in blocker.parent.glob("catalog.sqlite*"):
            file.unlink()
        parts.catalog.close()
        blocker.mkdir()
        began = time.monotonic()
        assert eventually(lambda: lease.lost)
        assert time.monotonic() - began > LEASE_S / 2


def test_a_job_without_a_lease_cannot_be_worked_on(
    parts: Parts, make_clip: Callable[..., Path]
) -> None:
    """Only a claim hands out the token that a commit needs."""
    queued = parts.upload(make_clip(seconds=1))
    with pytest.raises(ValueError, match="no lease"):
        hold(parts, queued)
