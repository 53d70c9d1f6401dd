"""Leases between machines whose clocks disagree."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.catalog import Catalog
from app.clock import SystemClock
from tests.app.catalog.samples import claim, new_video

LEASE_S = 60.0


class WrongClock(SystemClock):
    """The clock of a machine that is wrong by some hours, on which seconds pass by hand."""

    def __init__(self, hours: float) -> None:
        self._error = timedelta(hours=hours)
        self.passed_s = 0.0

    def now(self) -> datetime:
        return super().now() + self._error

    def monotonic(self) -> float:
        return self.passed_s


@pytest.mark.parametrize("hours", [-2, 0, 2])
def test_a_machine_with_a_wrong_clock_steals_no_lease_and_holds_none_for_ever(
    url: str, hours: float
) -> None:
    """Each machine decides by what it has seen, for as long as a lease lasts on its own clock."""
    clocks = WrongClock(0), WrongClock(hours)
    with (
        Catalog.open(url, clock=clocks[0]) as right,
        Catalog.open(url, clock=clocks[1]) as wrong,
    ):
        right.create_collection("default", model="m", window_s=5.0, stride_s=2.5)
        right.add_video_with_job("default", new_video(0))
        machines = [(right, clocks[0]), (wrong, clocks[1])]
        for (mine, _), (other, clock) in (machines, machines[::-1]):
            job, token = claim(mine, LEASE_S)
            for beat in range(3):
                assert other.claim_job("other", LEASE_S) is None
                clock.passed_s += LEASE_S - 1
                alive = {"stage": "probe", "progress": beat / 10, "lease_s": LEASE_S}
                assert mine.heartbeat(job.id, token, **alive)
            assert other.claim_job("other", LEASE_S) is None
            clock.passed_s += LEASE_S
            # Nobody has seen a heartbeat in all this time: the job waits for its next attempt.
            assert other.claim_job("other", LEASE_S) is None
            queued = other.get_job(job.id)
            assert (queued.status, queued.lease_token) == ("queued", None)
            other.retry_job(job.id)


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_server_has_the_clock_that_pauses_are_told_in(url: str, hours: float) -> None:
    """A machine whose clock is wrong tells the others no wrong time at which a job is due."""
    if url.startswith("sqlite"):
        pytest.skip("SQLite serves one machine, which has one clock")

    class Wrong(SystemClock):
        def now(self) -> datetime:
            return super().now() + timedelta(hours=hours)

    with Catalog.open(url) as right, Catalog.open(url, clock=Wrong()) as wrong:
        right.create_collection("default", model="m", window_s=5.0, stride_s=2.5)
        right.add_video_with_job("default", new_video(0))
        job, token = claim(wrong, LEASE_S)
        wrong.fail_job(job.id, token, code="c", message="m", retry=True)
        due = right.get_job(job.id).not_before
        assert due is not None
        assert abs(due - SystemClock().now()) < timedelta(minutes=10)
