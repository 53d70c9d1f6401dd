"""A fresh service for each test, one with a small library that tests only read, and what waits."""

from __future__ import annotations

import threading

import pytest

from app.catalog.records import Job
from app.services.ingest.job_watcher import JobWatcher
from tests.app.stack import library, stack

__all__ = ["library", "stack"]


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a request that waits for a job has looked at it for the first time."""
    event, wait, look = threading.Event(), JobWatcher.wait, JobWatcher.look
    waiting = threading.local()

    async def noted_wait(watcher: JobWatcher, *arguments: object, **choices: object) -> Job:
        waiting.now = True  # `wait` calls `look` at once, before another task of the loop runs
        return await wait(watcher, *arguments, **choices)  # type: ignore[arg-type]

    async def noted_look(watcher: JobWatcher, job_id: str) -> Job:
        is_wait, waiting.now = getattr(waiting, "now", False), False
        job = await look(watcher, job_id)
        if is_wait:
            event.set()
        return job

    monkeypatch.setattr(JobWatcher, "wait", noted_wait)
    monkeypatch.setattr(JobWatcher, "look", noted_look)
    return event
