"""The lease: kept while the work lasts, and its loss reaches the work."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path

import pytest

from app.catalog import Catalog
from app.catalog.records import Job
from app.worker.lease import JobProgress, Lease
from tests.app.catalog.samples import HandClock

from . import conftest
from .conftest import eventually

LEASE_S = 0.6  # heartbeats come three times as often; what counts is the test's own clock


@dataclass(frozen=True)
class Parts(conftest.Parts):
    """What a worker is made of, and the catalog's clock."""

    clock: HandClock


@pytest.fixture
def parts(parts: conftest.Parts) -> Iterator[Parts]:
    clock = HandClock()
    with Catalog.open(parts.settings.catalog_url, clock=clock, entropy=os.urandom) as catalog:
        values = {field.name: getattr(parts, field.name) for field in fields(parts)}
        yield Parts(**{**values, "catalog": catalog, "clock": clock})


@pytest.fixture
def claimed(parts: Parts, make_clip: Callable[..., Path]) -> Job:
    parts.upload(make_clip(seconds=1))
    job = parts.catalog.claim_job("wrk_1", LEASE_S)
    assert job is not None
    return job


def hold(parts: Parts, job: Job, stopping: threading.Event | None = None) -> Lease:
    stop = stopping or threading.Event()
    return Lease(parts.catalog, job, LEASE_S, parts.clock, stop, lambda _: None, lambda: False)


def test_a_job_in_progress_is_not_given_to_another(parts: Parts, claimed: Job) -> None:
    """Work that outlasts the lease keeps it by its heartbeats."""
    with hold(parts, claimed) as lease:
        for _ in range(4):
            parts.clock.advance(0.6 * LEASE_S)
            kept_until = parts.clock.now() + timedelta(seconds=LEASE_S)
            assert eventually(
                lambda until=kept_until: parts.catalog.get_job(claimed.id).lease_expires_at == until
            )
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
    parts.clock.advance(1.5 * LEASE_S)
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


def test_a_catalog_that_is_away_longer_than_the_lease_loses_it(
    parts: Parts, claimed: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """By then somebody else may hold the job."""
    with hold(parts, claimed) as lease:
        blocker = parts.settings.data_dir / "catalog.sqlite"
        for file in blocker.parent.glob("catalog.sqlite*"):
            file.unlink()
        parts.catalog.close()
        blocker.mkdir()
        for _ in range(2):  # a heartbeat that fails after all of this is the last
            parts.clock.advance(0.4 * LEASE_S)
            caplog.clear()
            assert eventually(lambda: "heartbeat failed" in caplog.text)
            assert not lease.lost
        parts.clock.advance(0.4 * LEASE_S)
        assert eventually(lambda: lease.lost)


def test_a_job_without_a_lease_cannot_be_worked_on(
    parts: Parts, make_clip: Callable[..., Path]
) -> None:
    """Only a claim hands out the token that a commit needs."""
    queued = parts.upload(make_clip(seconds=1))
    with pytest.raises(ValueError, match="no lease"):
        hold(parts, queued)
