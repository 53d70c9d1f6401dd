"""Stage timer: each stage's seconds under its name."""

from __future__ import annotations

import pytest

from app.services.search.stage_timer import StageTimer
from tests.app.catalog.samples import HandClock


def test_a_stage_takes_what_passes_within_its_blocks() -> None:
    """A stage that runs twice adds up; what passes between stages belongs to none."""
    clock = HandClock()
    timer = StageTimer(clock)
    with timer.stage("encode"):
        clock.advance(1)
    clock.advance(100)
    for seconds in (2, 4):
        with timer.stage("recall"):
            clock.advance(seconds)
    assert timer.seconds("encode") == pytest.approx(1)
    assert timer.seconds("recall") == pytest.approx(6)
    assert timer.seconds("encode", "recall") == pytest.approx(7)


def test_a_stage_that_has_not_run_took_nothing() -> None:
    """A page of a search that needs no filter still has a time for it."""
    assert StageTimer(HandClock()).seconds("filter", "page") == 0


def test_a_stage_that_fails_is_timed_and_its_error_passes_on() -> None:
    """The time until a worker fails is known, and the failure is not swallowed."""
    clock = HandClock()
    timer = StageTimer(clock)

    def fail() -> None:
        with timer.stage("rerank"):
            clock.advance(3)
            raise OSError("no worker")

    with pytest.raises(OSError, match="no worker"):
        fail()
    assert timer.seconds("rerank") == pytest.approx(3)
