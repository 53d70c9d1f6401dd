"""Many threads and processes on one catalog: nothing is done twice and nothing is lost."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from threading import Barrier, Event

import numpy as np

from app.catalog import Catalog
from app.catalog.errors import LeaseLost
from app.catalog.sql.jobs import LONGEST_PAUSE_S
from app.clock import SystemClock
from tests.app.catalog.samples import HandClock, complete, follow, ingest, new_video

FRESH = multiprocessing.get_context("spawn")  # no connection is inherited


class Ahead(SystemClock):
    """A clock that runs, and skips some seconds now and then."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return super().monotonic() + self.seconds


def open_and_name(url: str) -> str:
    """Runs in a process of its own: open (and perhaps migrate), then see the collection."""
    with Catalog.open(url) as catalog:
        collection, _ = catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
        return collection.id


def work(url: str, owner: str) -> list[str]:
    """Runs in a process of its own: claim and complete until nothing is left."""
    done = []
    with Catalog.open(url) as catalog:
        while (job := catalog.claim_job(owner, 60)) is not None:
            assert job.lease_token is not None
            complete(catalog, job, job.lease_token, count=2)
            done.append(job.id)
    return done


def test_a_new_database_may_be_opened_by_many_at_once(url: str) -> None:
    """Processes that start together all succeed, and see the same collection."""
    with ProcessPoolExecutor(2, mp_context=FRESH) as pool:
        assert len(set(pool.map(open_and_name, [url] * 2))) == 1


def test_threads_of_one_process_may_open_it_at_once(url: str) -> None:
    """So do threads, each with a catalog of its own."""
    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(open_and_name, [url] * 6))) == 1


def test_no_job_is_done_twice(url: str, catalog: Catalog) -> None:
    """Workers in several processes share the queue: each job is claimed by one, once."""
    queued = [catalog.add_video_with_job("default", new_video(each))[1].id for each in range(40)]
    with ProcessPoolExecutor(2, mp_context=FRESH) as pool:
        done = list(pool.map(work, [url] * 2, ["a", "b"]))
    assert Counter(queued) == Counter(job for each in done for job in each)
    assert {1} == {job.attempts for job in catalog.list_jobs(limit=100).items}
    assert catalog.count_segments("default") == 80
    collection = catalog.get_collection("default")
    assert list(range(1, 81)) == [each.sequence for each in catalog.changes_since(collection.id, 0)]


def test_one_of_many_takes_over_an_abandoned_job(catalog: Catalog, clock: HandClock) -> None:
    """When a lease runs out, everybody may ask and one gets the job."""
    catalog.add_video_with_job("default", new_video("a"))
    assert catalog.claim_job("dead", 30) is not None
    clock.advance(31)
    assert catalog.claim_job("finder", 30) is None
    clock.advance(LONGEST_PAUSE_S)
    start = Barrier(8)

    def ask(owner: int) -> bool:
        start.wait()
        return catalog.claim_job(f"worker-{owner}", 30) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1


def test_a_worker_that_was_replaced_cannot_complete(url: str) -> None:
    """With a clock that runs: the slow worker hears that its lease is lost, and adds nothing."""

    later = Ahead(0)
    with Catalog.open(url) as slow, Catalog.open(url, clock=later) as quick:
        slow.create_collection("default", model="m", window_s=5, stride_s=2.5)
        slow.add_video_with_job("default", new_video("a"))
        first = slow.claim_job("slow", 30)
        assert quick.claim_job("quick", 30) is None
        later.seconds += 30
        assert quick.claim_job("quick", 30) is None
        later.seconds += LONGEST_PAUSE_S
        second = quick.claim_job("quick", 30)
        assert first is not None
        assert second is not None
        assert first.lease_token is not None
        assert second.lease_token is not None
        start = Barrier(2)

        def end(catalog: Catalog, token: str, count: int) -> str:
            start.wait()
            try:
                return complete(catalog, first, token, count).status
            except LeaseLost:
                return "lost"

        with ThreadPoolExecutor(2) as pool:
            late = pool.submit(end, slow, first.lease_token, 7)
            good = pool.submit(end, quick, second.lease_token, 3)
        assert (late.result(), good.result()) == ("lost", "succeeded")
        assert slow.count_segments("default") == 3


def test_a_follower_never_misses_a_change_that_commits_late(catalog: Catalog) -> None:
    """Read while others write, the sequence has no holes that fill up afterwards."""
    collection = catalog.get_collection("default")
    writers_done = Event()

    def write(worker: int) -> None:
        for number in range(6):
            catalog.add_video_with_job("default", new_video((worker, number)))
            job = catalog.claim_job(f"worker-{worker}", 60)
            assert job is not None
            assert job.lease_token is not None
            complete(catalog, job, job.lease_token, count=3)
            if number % 3 == 2:
                catalog.delete_video("default", job.video_id)

    def read() -> tuple[int, dict[int, bytes]]:
        sequence, vectors = 0, dict[int, bytes]()
        while True:
            last_look = writers_done.is_set()
            sequence, vectors = follow(catalog, collection.id, sequence, vectors, limit=4)
            if last_look:
                return sequence, vectors

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        writers = [pool.submit(write, worker) for worker in range(4)]
        wait(writers)
        writers_done.set()
        for writer in writers:
            writer.result()
        sequence, vectors = reader.result()
    _, batches = catalog.load_vectors(collection.id)
    truth = np.concatenate([batch.rows for batch in batches]).tolist()
    assert truth == sorted(vectors)
    assert catalog.get_collection("default").sequence == sequence


def test_reads_do_not_wait_for_a_writer(catalog: Catalog) -> None:
    """While a transaction writes, others read what was there before it."""
    video = ingest(catalog, "a")
    with catalog._write() as connection:
        connection.exec_driver_sql("UPDATE videos SET status = 'failed'")
        with ThreadPoolExecutor(1) as pool:
            seen = pool.submit(catalog.get_video, "default", video.id).result(timeout=60)
    assert seen.status == "ready"
