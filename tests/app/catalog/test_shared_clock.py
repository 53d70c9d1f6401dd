"""Leases between machines whose clocks disagree."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.catalog import Catalog
from app.catalog.records import NewVideo
from app.clock import SystemClock

LEASE_S = 60.0


class WrongClock(SystemClock):
    """The clock of a machine that is wrong by some hours."""

    def __init__(self, hours: float) -> None:
        self._error = timedelta(hours=hours)

    def now(self) -> datetime:
        return super().now() + self._error


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_machine_with_a_wrong_clock_steals_no_lease_and_holds_none_for_ever(
    url: str, hours: float
) -> None:
    """Where a server has the catalog its clock is everybody's, also for a job that waits."""
    if url.startswith("sqlite"):
        pytest.skip("SQLite serves one machine, which has one clock")
    with (
        Catalog.open(url) as right,
        Catalog.open(url, clock=WrongClock(hours)) as wrong,
    ):
        right.create_collection("default", model="m", window_s=5.0, stride_s=2.5)
        right.add_video_with_job("default", NewVideo("a.mp4", "video/mp4", 1, "a" * 64, {}))
        for mine, other in ((right, wrong), (wrong, right)):
            job = mine.claim_job("mine", LEASE_S)
            assert job is not None
            assert job.lease_token is not None
            assert other.claim_job("other", LEASE_S) is None
            assert mine.heartbeat(job.id, job.lease_token, stage="probe", progress=0.1, lease_s=0.0)
            # The lease is over now, whoever looks: the job waits for its next attempt.
            assert other.claim_job("other", LEASE_S) is None
            queued = other.get_job(job.id)
            assert (queued.status, queued.lease_token) == ("queued", None)
            assert mine.claim_job("mine", LEASE_S) is None
            other.retry_job(job.id)
