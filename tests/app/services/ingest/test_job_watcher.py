"""Job watcher: many waiters share the reads of one."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import pytest

from app.catalog import Catalog
from app.catalog.errors import JobNotFound
from app.catalog.records import Job
from app.services.ingest.job_watcher import LOOK_EVERY_S, JobWatcher
from tests.app.catalog.samples import claim, complete, new_video
from tests.app.stack import Stack

WAITERS = 100


@pytest.fixture
def catalog(stack: Stack) -> Catalog:
    return stack.catalog


@pytest.fixture
def reads(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the jobs that are read from the catalog, in order."""
    found: list[str] = []
    get_job: Callable[[str], Job] = catalog.get_job

    def counted(job_id: str) -> Job:
        found.append(job_id)
        return get_job(job_id)

    monkeypatch.setattr(catalog, "get_job", counted)
    return found


def queued(catalog: Catalog) -> Job:
    return catalog.add_video_with_job("default", new_video(0))[1]


def test_many_waiters_on_one_job_cost_about_one_reader(catalog: Catalog, reads: list[str]):
    """A hundred waiters read the catalog a few times more than one alone, not a hundred times."""
    job = queued(catalog)
    watcher = JobWatcher(catalog, threading.Event())
    seconds = 4 * LOOK_EVERY_S

    async def wait_together(count: int) -> int:
        before = len(reads)
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(watcher.wait, job.id, seconds)
        return len(reads) - before

    alone = anyio.run(wait_together, 1)
    together = anyio.run(wait_together, WAITERS)
    assert alone >= 3
    assert together <= 3 * alone


def test_streams_and_waits_share_their_reads_and_all_see_the_end(
    catalog: Catalog, reads: list[str]
):
    """Each kind of waiter is told of a job that ends, by the same few reads."""
    job = queued(catalog)
    watcher = JobWatcher(catalog, threading.Event())
    ends: list[str] = []

    async def stream() -> None:
        statuses = [one.status async for one in watcher.changes(job.id, None) if one is not None]
        ends.append(statuses[-1])

    async def wait() -> None:
        ends.append((await watcher.wait(job.id, 10)).status)

    async def searchable() -> None:
        found = await watcher.wait(job.id, 10, until=lambda one: one.searchable_at is not None)
        ends.append(found.status)

    async def run() -> None:
        async with anyio.create_task_group() as group:
            for waiter in (stream, wait, searchable):
                for _ in range(10):
                    group.start_soon(waiter)
            await anyio.sleep(LOOK_EVERY_S / 2)
            await anyio.to_thread.run_sync(lambda: complete(catalog, *claim(catalog)))

    anyio.run(run)
    assert ends == ["succeeded"] * 30
    assert len(reads) < 30


def test_a_look_sees_what_was_done_just_before(catalog: Catalog):
    """Reads are shared only if they began after they were asked for."""
    job = queued(catalog)
    watcher = JobWatcher(catalog, threading.Event())

    async def run() -> list[str]:
        before = await watcher.look(job.id)
        await anyio.to_thread.run_sync(catalog.cancel_job, job.id)
        return [before.status, (await watcher.look(job.id)).status]

    assert anyio.run(run) == ["queued", "canceled"]


def test_a_wait_is_over_after_its_seconds_or_when_the_process_stops(catalog: Catalog):
    """The job comes back as it is."""
    job = queued(catalog)
    stopping = threading.Event()
    watcher = JobWatcher(catalog, stopping)
    assert anyio.run(watcher.wait, job.id, 0).status == "queued"
    stopping.set()
    assert anyio.run(watcher.wait, job.id, 3600).status == "queued"


def test_an_unknown_job_is_not_waited_for(catalog: Catalog):
    """JobNotFound comes at once, from every waiter."""
    watcher = JobWatcher(catalog, threading.Event())
    with pytest.raises(JobNotFound):
        anyio.run(watcher.wait, "job_none", 3600)
