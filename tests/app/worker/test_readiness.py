"""Readiness of the model: one run for all who ask, repeated only after a failure."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.worker.readiness import ModelReadiness


class Model:
    """Runs when let; the first runs fail as told."""

    def __init__(self, failures: int = 0) -> None:
        self.runs = 0
        self.go = threading.Event()
        self._failures = failures

    def check(self) -> None:
        self.runs += 1
        assert self.go.wait(60)
        if self.runs <= self._failures:
            raise MemoryError(self.runs)


def test_all_who_ask_meanwhile_wait_for_the_same_run() -> None:
    """However many probes come, the model runs once, and never again after that."""
    model = Model()

    async def scenario() -> None:
        readiness = ModelReadiness(model.check)
        probes = [asyncio.create_task(readiness.require()) for _ in range(20)]
        await asyncio.sleep(0)
        assert not any(probe.done() for probe in probes)
        model.go.set()
        await asyncio.gather(*probes)
        await readiness.require()

    asyncio.run(scenario())
    assert model.runs == 1


def test_a_failure_is_told_to_all_and_tried_again() -> None:
    """Each probe of the failed run gets its error; the next one has the model run anew."""
    model = Model(failures=1)
    model.go.set()

    async def scenario() -> None:
        readiness = ModelReadiness(model.check)
        found = await asyncio.gather(
            readiness.require(), readiness.require(), return_exceptions=True
        )
        assert [type(error) for error in found] == [MemoryError, MemoryError]
        await readiness.require()

    asyncio.run(scenario())
    assert model.runs == 2


def test_a_probe_that_gives_up_does_not_end_the_run() -> None:
    """Probes have short timeouts, and a first run may take long."""
    model = Model()

    async def scenario() -> None:
        readiness = ModelReadiness(model.check)
        impatient = asyncio.create_task(readiness.require())
        while not model.runs:
            await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        model.go.set()
        await readiness.require()

    asyncio.run(scenario())
    assert model.runs == 1
