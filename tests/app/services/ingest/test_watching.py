"""Job watcher: what a wait or a stream is told of a job in each state it may be found in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest

from app.catalog import Catalog
from app.catalog.errors import JobNotFound
from app.catalog.records import Job
from app.errors import DeadlineExceeded, InvalidRequest, JobDidNotSucceed, TooManyStreams
from app.services.ingest.job_watcher import STREAMS_AT_ONCE, WAITS_AT_ONCE, JobWatcher, has_ended
from tests.app.catalog.samples import HandClock, claim, complete, new_video


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}", clock=HandClock()) as opened:
        opened.create_collection("default", model="m", window_s=5, stride_s=2.5)
        yield opened


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def watcher(catalog: Catalog, stopping: threading.Event) -> JobWatcher:
    return JobWatcher(catalog, stopping)


def job_in(catalog: Catalog, status: str) -> Job:
    """A job that has come so far."""
    _, job, _ = catalog.add_video_with_job("default", new_video(0))
    if status == "canceled":
        return catalog.cancel_job(job.id)
    if status == "queued":
        return job
    job, token = claim(catalog)
    if status == "succeeded":
        complete(catalog, job, token)
    if status == "failed":
        catalog.fail_job(job.id, token, code="oh", message="Oh.", retry=False)
    return catalog.get_job(job.id)


STATES = ("queued", "running", "succeeded", "failed", "canceled")


@pytest.mark.parametrize("status", STATES)
def test_a_job_has_ended_when_nothing_more_happens_by_itself(catalog: Catalog, status: str) -> None:
    """One that waits for its turn or runs has not."""
    job = job_in(catalog, status)
    assert job.status == status
    assert has_ended(job) == (status not in ("queued", "running"))


def told(watcher: JobWatcher, job: Job, seen: int | None) -> list[str]:
    """What a stream of an ended job says until it ends."""

    async def read() -> list[str]:
        return [one.status async for one in watcher.changes(job.id, seen) if one is not None]

    return anyio.run(read)


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled"])
def test_the_stream_of_an_ended_job_ends(
    catalog: Catalog, watcher: JobWatcher, status: str
) -> None:
    """It says how, once, unless the client has seen exactly that."""
    job = job_in(catalog, status)
    assert told(watcher, job, None) == [status]
    assert told(watcher, job, job.revision - 1) == [status]
    assert told(watcher, job, job.revision + 1) == [status]
    assert told(watcher, job, job.revision) == []


def test_a_stream_begins_no_more_when_the_process_stops(
    catalog: Catalog, watcher: JobWatcher, stopping: threading.Event
) -> None:
    """It ends without a word, and the client comes back to the next process."""
    job = job_in(catalog, "running")
    stopping.set()
    assert told(watcher, job, None) == []


def test_streams_are_bounded_and_give_their_room_back(watcher: JobWatcher) -> None:
    """As many as may be are open, one more is refused; one that fails leaves room for the next."""
    with ExitStack() as stack:
        for number in range(STREAMS_AT_ONCE - 1):
            stack.enter_context(watcher.stream(f"key {number % 3}"))
        with pytest.raises(ZeroDivisionError), watcher.stream("another"):
            raise ZeroDivisionError
        with watcher.stream("another"):
            for _ in range(2):  # the refusal itself takes no room and frees none
                with pytest.raises(TooManyStreams), watcher.stream("a third"):
                    pass
        stack.enter_context(watcher.stream("a third"))
    with watcher.stream("another"):
        pass


def test_one_key_has_half_of_the_streams_and_of_the_waits(watcher: JobWatcher) -> None:
    """The other half is everybody else's."""
    with ExitStack() as stack:
        for _ in range(STREAMS_AT_ONCE // 2):
            stack.enter_context(watcher.stream("greedy"))
        with pytest.raises(TooManyStreams), watcher.stream("greedy"):
            pass
        stack.enter_context(watcher.stream("another"))
        waits = [stack.enter_context(watcher.waiting("greedy")) for _ in range(WAITS_AT_ONCE)]
        assert waits == [True] * (WAITS_AT_ONCE // 2) + [False] * (WAITS_AT_ONCE // 2)
        assert stack.enter_context(watcher.waiting("another"))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("queued", DeadlineExceeded),
        ("running", DeadlineExceeded),
        ("succeeded", None),
        ("failed", JobDidNotSucceed),
        ("canceled", JobDidNotSucceed),
    ],
)
def test_a_search_waits_for_what_it_can_find(
    catalog: Catalog, watcher: JobWatcher, status: str, error: type[Exception] | None
) -> None:
    """A job that has not ended is waited for, here for no time at all; one that failed never is."""
    job = job_in(catalog, status)
    if error is None:
        anyio.run(watcher.wait_searchable, "default", job.id, 0, "key")
        return
    with pytest.raises(error, match=job.id):
        anyio.run(
            watcher.wait_searchable,
            "default",
            job.id,
            0 if error is DeadlineExceeded else 60_000,
            "key",
        )


@pytest.mark.parametrize("status", STATES)
def test_a_search_waits_for_no_job_of_another_collection(
    catalog: Catalog, watcher: JobWatcher, status: str
) -> None:
    """However it stands: that is said at once, and not after the deadline."""
    job = job_in(catalog, status)
    with pytest.raises(InvalidRequest, match="another collection"):
        anyio.run(watcher.wait_searchable, "other", job.id, 60_000, "key")


def test_a_search_waits_for_no_job_that_is_not_there(watcher: JobWatcher) -> None:
    """The id may be mistyped."""
    with pytest.raises(JobNotFound):
        anyio.run(watcher.wait_searchable, "default", "job_none", 60_000, "key")
