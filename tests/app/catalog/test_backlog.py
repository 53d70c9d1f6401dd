"""Backlog: how long the queue is, and how long a job in it takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog import Catalog
from app.catalog.backlog import Backlog
from tests.app.catalog.samples import HandClock, claim, complete, new_video

MEASURED = 32  # jobs, the newest ones


def take(catalog: Catalog, clock: HandClock, number: int, seconds: float) -> None:
    """A job that a worker begins at once and ends after so long."""
    clock.advance(1)
    catalog.add_video_with_job("default", new_video(number))
    job, token = claim(catalog, lease_s=1e6)
    clock.advance(seconds)
    complete(catalog, job, token, count=1)


def test_an_empty_queue_is_no_wait(catalog: Catalog) -> None:
    """Before the first job nothing is known of how long one takes."""
    assert catalog.backlog() == Backlog(queued=0, running=0, seconds_per_job=None)
    assert catalog.backlog().wait_s == 0


def test_only_jobs_that_wait_or_run_count(catalog: Catalog, clock: HandClock) -> None:
    """Those that failed, were canceled or have succeeded are history."""
    take(catalog, clock, 0, 4)
    for number in range(1, 6):
        clock.advance(1)
        catalog.add_video_with_job("default", new_video(number))
    failing, token = claim(catalog)
    catalog.fail_job(failing.id, token, code="c", message="m", retry=False)
    canceled, _ = claim(catalog)
    catalog.cancel_job(canceled.id)
    claim(catalog)
    assert catalog.backlog() == Backlog(queued=2, running=1, seconds_per_job=4, left_s=(4.0,))


def test_the_time_a_job_takes_is_that_of_the_last_ones(catalog: Catalog, clock: HandClock) -> None:
    """Of 34 jobs the two oldest, which took a hundred times as long, count no more."""
    for number in range(MEASURED + 2):
        take(catalog, clock, number, 500 if number < 2 else 5)
        if number == 2:
            assert catalog.backlog().seconds_per_job == pytest.approx(1005 / 3)
    assert catalog.backlog().seconds_per_job == 5


def test_a_job_that_ended_before_it_began_took_no_time_that_counts(
    catalog: Catalog, clock: HandClock, url: str
) -> None:
    """The clock was set back while it ran, and the process that began it did not end it."""
    take(catalog, clock, 0, 5)
    catalog.add_video_with_job("default", new_video(1))
    job, token = claim(catalog)
    clock.jump(-1)
    with Catalog.open(url, clock=clock) as other:
        complete(other, job, token)
    assert catalog.backlog().seconds_per_job == 5


@pytest.mark.parametrize("hours", [-25, -1, 1, 25])
def test_a_clock_that_is_set_changes_no_estimate(
    catalog: Catalog, clock: HandClock, url: str, hours: float
) -> None:
    """In any process, from the worker's next heartbeat on, and of what has ended."""
    catalog.add_video_with_job("default", new_video(0))
    job, token = claim(catalog)
    clock.advance(10)
    clock.jump(hours)
    clock.advance(10)
    beat = {"stage": "encode", "progress": 0.5, "lease_s": 30.0}
    assert catalog.heartbeat(job.id, token, **beat)
    with Catalog.open(url, clock=clock) as other:
        assert other.backlog().left_s == pytest.approx((20,))
    clock.jump(-3 * hours)
    clock.advance(5)
    complete(catalog, job, token)
    assert catalog.backlog().seconds_per_job == pytest.approx(25)


@pytest.mark.parametrize("end", ["release", "postpone", "fail"])
def test_an_attempt_ends_by_the_clock_that_it_began_by(
    catalog: Catalog, clock: HandClock, end: str
) -> None:
    """A key is charged for the time between them, which a clock that was set would make hours."""
    catalog.add_video_with_job("default", new_video(0))
    job, token = claim(catalog)
    clock.jump(2)
    if end == "release":
        catalog.release_job(job.id, token)
    elif end == "postpone":
        catalog.postpone_job(job.id, token, code="c", message="m", wait_s=1)
    else:
        catalog.fail_job(job.id, token, code="c", message="m", retry=False)
    assert catalog.get_job(job.id).started_at == clock.now()


def test_a_job_that_was_tried_twice_took_its_last_attempt(
    catalog: Catalog, clock: HandClock
) -> None:
    """The pause in between says nothing about how long work takes."""
    catalog.add_video_with_job("default", new_video(0))
    job, token = claim(catalog)
    clock.advance(50)
    catalog.fail_job(job.id, token, code="c", message="m", retry=True)
    clock.advance(1000)
    job, token = claim(catalog)
    clock.advance(3)
    complete(catalog, job, token)
    assert catalog.backlog().seconds_per_job == 3


def test_what_runs_takes_what_its_progress_says_or_its_price(
    catalog: Catalog, clock: HandClock
) -> None:
    """A giant counts as one from the moment it is priced; what waits and is priced counts too."""
    for number in range(3):
        clock.advance(1)
        catalog.add_video_with_job("default", new_video(number))
    giant, token = claim(catalog, lease_s=1e6)
    assert catalog.backlog().wait_s == 0  # nothing is known of anything
    catalog.price_job(giant.id, token, 5000)
    clock.advance(10)
    assert catalog.backlog().wait_s == 4990
    catalog.heartbeat(giant.id, token, stage="encode", progress=0.01, lease_s=1e6)
    assert catalog.backlog().wait_s == pytest.approx(990)
    other, token = claim(catalog)
    catalog.price_job(other.id, token, 200)
    catalog.release_job(other.id, token)
    assert catalog.backlog().wait_s == pytest.approx(1190)
    assert catalog.backlog().wait_in(2) == pytest.approx(200)
    assert catalog.backlog().wait_in(4) < 200


@given(queued=st.integers(0, 50), running=st.integers(0, 8), seconds=st.none() | st.floats(0, 1e4))
def test_the_wait_is_shared_by_what_runs(queued: int, running: int, seconds: float | None) -> None:
    """As many workers as have work now will do what waits; with none, one of them comes back."""
    found = Backlog(queued, running, seconds).wait_s
    workers = running or 1
    assert found == pytest.approx(sum(seconds or 0.0 for _ in range(queued)) / workers)


@given(
    left=st.lists(st.floats(0, 1e4), max_size=5),
    work=st.floats(0, 1e5),
    slots=st.integers(1, 8),
)
def test_the_wait_is_when_the_slots_have_taken_all_work(
    left: list[float], work: float, slots: int
) -> None:
    """No slot is free before, and what they do until then is exactly what waits."""
    backlog = Backlog(1, len(left), None, priced=1, priced_s=work, left_s=left)
    at_s = backlog.wait_in(slots)
    free = sorted([*left, *[0.0] * (slots - len(left))])
    assert at_s >= free[0] * (1 - 1e-9)
    done = sum(max(0.0, at_s - each) for each in free)
    assert done == pytest.approx(work, rel=1e-6, abs=1e-6)
