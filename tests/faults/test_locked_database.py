"""A database that somebody else holds locked: refused or waited for, never half done."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import httpx
import pytest

from app.catalog import database
from tests.faults.conftest import World
from tests.faults.life import Journal, check_afterwards, opened, upload, work
from xclip.encoder import Encoder


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait 0.3 s for a lock, not half a minute."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.3)


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Another program holds the write lock."""
    with closing(sqlite3.connect(world.data / "catalog.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_an_upload_is_refused_and_leaves_nothing_behind(world: World, encoder: Encoder) -> None:
    """503 with Retry-After; the same upload again is accepted once the lock is gone."""
    journal = Journal(world.folder / "journal")
    with opened(world.folder, encoder) as stack:
        with locked(world):
            answer = upload(stack, journal, world.clips[0])
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert answer.json()["code"] == "catalog_unavailable"
            assert int(answer.headers["retry-after"]) > 0
            assert stack.api.get("/v1/collections/default/videos").is_success, "reads go on"
        assert upload(stack, journal, world.clips[0]).is_success
    check_afterwards(world.folder, encoder, world.present)


def test_a_job_survives_a_lock_that_begins_while_it_runs(world: World, encoder: Encoder) -> None:
    """Beats and the commit fail; the job ends in a later attempt, its segments once."""
    journal = Journal(world.folder / "journal")
    with opened(world.folder, encoder) as stack:
        assert upload(stack, journal, world.clips[1]).is_success
        claimed = threading.Event()
        real = stack.catalog.get_video

        def get_video(collection: str, video_id: str):
            claimed.set()
            begun.wait(60)
            return real(collection, video_id)

        begun = threading.Event()
        stack.catalog.get_video = get_video
        worker = threading.Thread(target=stack.puller.run)
        worker.start()
        assert claimed.wait(60)
        with locked(world):
            begun.set()
            stack.puller.stop()
            worker.join(60)
        assert not worker.is_alive()
        del stack.catalog.get_video
    check_afterwards(world.folder, encoder, world.present)


def test_a_lock_in_front_of_an_idle_worker_is_waited_out(world: World, encoder: Encoder) -> None:
    """The claim fails, the worker goes on."""
    journal = Journal(world.folder / "journal")
    with opened(world.folder, encoder) as stack:
        assert upload(stack, journal, world.clips[0]).is_success
        with locked(world), pytest.raises(Exception, match="locked"):
            stack.puller.run_one()
        work(stack)
    check_afterwards(world.folder, encoder, world.present)
