"""Periodic tasks: again and again, whatever becomes of one of them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from app.services.operations.periodic_tasks import INTERVAL_S, PeriodicTask, PeriodicTasks


def test_a_task_that_fails_stops_neither_the_others_nor_the_next_round(
    caplog: pytest.LogCaptureFixture,
):
    """Tasks run at once and after each interval; a failure is logged with its name."""
    done: list[str] = []

    def fail() -> None:
        done.append("fail")
        raise OSError("no disk")

    async def sleep(seconds: float) -> None:
        done.append(f"sleep {seconds:g}")
        if done.count("fail") == 2:
            raise asyncio.CancelledError

    tasks = (PeriodicTask("dust", fail), PeriodicTask("dishes", lambda: done.append("dishes")))
    with caplog.at_level(logging.ERROR), pytest.raises(asyncio.CancelledError):
        asyncio.run(PeriodicTasks(tasks, sleep=sleep).run())
    assert done == ["fail", "dishes", f"sleep {INTERVAL_S:g}"] * 2
    assert [record.message for record in caplog.records] == [
        "the task dust failed and will run again"
    ] * 2
