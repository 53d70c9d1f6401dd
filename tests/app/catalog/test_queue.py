"""When a job is due, and how its changes are counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog import Catalog
from app.catalog.errors import LeaseLost
from app.catalog.records import Job
from app.catalog.sql.jobs import FIRST_PAUSE_S, LONGEST_PAUSE_S, pause_s
from tests.app.catalog.samples import (
    FACTS,
    HandClock,
    claim,
    claim_after_pause,
    complete,
    new_video,
)

SOON_S = 1e-3


def no_chance(count: int) -> bytes:
    return bytes(count)


def add(catalog: Catalog, content: object = "a") -> Job:
    return catalog.add_video_with_job("default", new_video(content))[1]


def fail(catalog: Catalog, job: Job, token: str) -> Job:
    return catalog.fail_job(job.id, token, code="ingest_failed", message="Oh.", retry=True)


def postpone(catalog: Catalog, job: Job, token: str) -> Job:
    return catalog.postpone_job(job.id, token, code="storage_full", message="Full.", wait_s=30)


def seconds_until_due(job: Job, clock: HandClock) -> float:
    assert job.not_before is not None
    return (job.not_before - clock.now()).total_seconds()


@given(attempts=st.integers(1, 10_000), chance=st.binary(min_size=4, max_size=4))
def test_pauses_double_up_to_a_limit(attempts: int, chance: bytes) -> None:
    """Whatever chance says, a pause is at least half of what it is at most."""
    whole = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempts - 1, 20))
    assert whole / 2 <= pause_s(attempts, lambda _: chance) <= whole
    assert pause_s(attempts, no_chance) == whole


def test_what_failed_together_does_not_come_back_together(catalog: Catalog) -> None:
    """Two jobs that failed at the same moment are due at different ones."""
    queued = [add(catalog, content) for content in "ab"]
    again = [fail(catalog, *claim(catalog)).not_before for _ in queued]
    assert again[0] != again[1]


def test_a_failed_attempt_waits_before_the_next(catalog: Catalog, clock: HandClock) -> None:
    """Nobody gets the job a moment too early, and once it is begun it waits for nothing."""
    add(catalog)
    job, token = claim(catalog)
    waiting = fail(catalog, job, token)
    assert (waiting.status, waiting.error_code) == ("queued", "ingest_failed")
    pause = seconds_until_due(waiting, clock)
    assert FIRST_PAUSE_S / 2 <= pause <= FIRST_PAUSE_S
    clock.advance(pause - SOON_S)
    assert catalog.claim_job("worker", 30) is None
    clock.advance(2 * SOON_S)  # due is written in whole microseconds
    again, _ = claim(catalog)
    assert (again.id, again.attempts, again.not_before) == (job.id, 2, None)


def test_a_lost_worker_is_told_and_waited_for(catalog: Catalog, clock: HandClock) -> None:
    """The first to find the lease run out puts the job back, with a pause and a reason."""
    job = add(catalog)
    claim(catalog, lease_s=30)
    clock.advance(31)
    assert catalog.claim_job("other", 30) is None
    waiting = catalog.get_job(job.id)
    assert (waiting.status, waiting.attempts, waiting.error_code) == ("queued", 1, "worker_lost")
    assert 0 < seconds_until_due(waiting, clock) <= FIRST_PAUSE_S
    assert waiting.lease_token is None


def test_the_oldest_job_that_is_due_comes_first(catalog: Catalog, clock: HandClock) -> None:
    """A job that waits lets younger ones pass, and has its turn again when it is due."""
    queued = []
    for content in "abc":
        queued.append(add(catalog, content).id)
        clock.advance(0.001)
    first, token = claim(catalog)
    fail(catalog, first, token)
    assert claim(catalog)[0].id == queued[1]
    assert claim_after_pause(catalog, clock)[0].id == queued[0]


def test_a_postponed_job_has_lost_no_attempt(catalog: Catalog, clock: HandClock) -> None:
    """However often that happens; the reason is there to be read until it succeeds."""
    job = add(catalog)
    for _ in range(5):
        job, token = claim(catalog)
        assert job.attempts == 1
        waiting = postpone(catalog, job, token)
        assert (waiting.status, waiting.attempts) == ("queued", 0)
        assert (waiting.error_code, waiting.error_message) == ("storage_full", "Full.")
        assert waiting.not_before == clock.now() + timedelta(seconds=30)
        assert catalog.claim_job("worker", 30) is None
        clock.advance(30)
    job, token = claim(catalog)
    assert complete(catalog, job, token).error_code is None
    with pytest.raises(LeaseLost):
        postpone(catalog, job, token)
    assert catalog.get_job(job.id).status == "succeeded"


def test_retry_ends_the_pause(catalog: Catalog, clock: HandClock) -> None:
    """A person who knows better need not wait; attempts and reason stay what they were."""
    add(catalog)
    job, token = claim(catalog)
    fail(catalog, job, token)
    due = catalog.retry_job(job.id)
    assert (due.not_before, due.attempts, due.error_code) == (None, 1, "ingest_failed")
    assert catalog.retry_job(job.id) == due
    assert claim(catalog)[0].attempts == 2


def test_a_waiting_job_can_be_canceled(catalog: Catalog, clock: HandClock) -> None:
    """It does not come back when its pause is over; retried after that, it is due at once."""
    add(catalog)
    job, token = claim(catalog)
    fail(catalog, job, token)
    canceled = catalog.cancel_job(job.id)
    assert (canceled.status, canceled.not_before) == ("canceled", None)
    clock.advance(LONGEST_PAUSE_S)
    assert catalog.claim_job("worker", 30) is None
    assert (catalog.retry_job(job.id).not_before, claim(catalog)[0].id) == (None, job.id)


def test_seconds_of_the_video_are_counted(catalog: Catalog) -> None:
    """Unknown until the first heartbeat that knows them; all of them in the end; none again."""
    add(catalog)
    job, token = claim(catalog)
    assert (job.seconds_done, job.seconds_total) == (None, None)
    catalog.heartbeat(job.id, token, stage="encode", progress=0.4, lease_s=30, seconds=(5.0, 12.5))
    seen = catalog.get_job(job.id)
    assert (seen.seconds_done, seen.seconds_total) == (5.0, 12.5)
    assert fail(catalog, job, token).seconds_done is None
    catalog.retry_job(job.id)
    done = complete(catalog, *claim(catalog))
    assert done.seconds_done == done.seconds_total == FACTS.duration_s


def test_every_change_has_a_number_of_its_own(catalog: Catalog, clock: HandClock) -> None:
    """Claims, news from the worker, ends, cancel and retry: each adds one."""
    job = add(catalog)
    assert job.revision == 0
    held: list[tuple[Job, str]] = []

    def begin() -> None:
        held.append(claim_after_pause(catalog, clock))

    def beat(progress: float) -> Callable[[], object]:
        return lambda: catalog.heartbeat(
            job.id, held[-1][1], stage="encode", progress=progress, lease_s=30
        )

    steps: list[Callable[[], object]] = [
        *(begin, beat(0.1), beat(0.2), lambda: fail(catalog, *held[-1])),
        *(begin, lambda: postpone(catalog, *held[-1])),
        *(begin, lambda: catalog.release_job(job.id, held[-1][1])),
        *(lambda: catalog.cancel_job(job.id), lambda: catalog.retry_job(job.id)),
        *(begin, lambda: complete(catalog, *held[-1])),
    ]
    for number, step in enumerate(steps, start=1):
        step()
        assert catalog.get_job(job.id).revision == number


def test_what_changes_nothing_is_no_change(catalog: Catalog) -> None:
    """A heartbeat with the same news, a second cancel and what a lost worker says."""
    job = add(catalog)
    _, token = claim(catalog)
    for _ in range(2):
        catalog.heartbeat(job.id, token, stage="probe", progress=0.0, lease_s=30)
    assert catalog.get_job(job.id).revision == 2
    for _ in range(2):
        assert catalog.cancel_job(job.id).revision == 3
    assert not catalog.heartbeat(job.id, token, stage="encode", progress=0.5, lease_s=30)
    assert catalog.get_job(job.id).revision == 3


def test_a_job_canceled_by_a_deletion_says_so_to_its_followers(catalog: Catalog) -> None:
    """Deleting the video changes the job too."""
    job = add(catalog)
    catalog.delete_video("default", job.video_id)
    after = catalog.get_job(job.id)
    assert (after.status, after.revision) == ("canceled", 1)
