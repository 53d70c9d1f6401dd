"""Stalled queue: said in the log once videos have waited for a minute and nobody takes them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from app.services.operations.stalled_queue import PATIENCE_S, StalledQueueWarning
from tests.app.catalog.samples import HandClock, claim
from tests.app.conftest import write_clip
from tests.app.stack import open_stack
from xclip.encoder import Encoder


def test_a_queue_that_no_worker_works_off_is_told_in_the_log(
    tmp_path: Path, encoder: Encoder, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at once, not while a job runs or waits for its next attempt, not once all are done."""
    clock = HandClock()

    def warnings() -> list[str]:
        caplog.clear()
        stalled.look()
        return [record.getMessage() for record in caplog.records if "no worker" in record.msg]

    caplog.set_level(logging.WARNING)
    with open_stack(tmp_path / "data", encoder, clock=clock, max_ingests=0) as stack:
        stalled = StalledQueueWarning(stack.catalog, clock)
        assert warnings() == []
        for seed in range(2):
            stack.upload(write_clip(tmp_path / f"{seed}.mp4", seconds=1.0, seed=seed))
        assert warnings() == []
        clock.jump(25)
        assert warnings() == []
        clock.jump(-26)
        clock.advance(PATIENCE_S - 1)
        assert warnings() == []
        clock.advance(1)
        [said] = warnings()
        assert said.startswith("2 videos wait to be indexed, the first for more than 60 s")
        assert "ingests no videos" in stack.api.get("/readyz").json()["checks"]["worker"]["detail"]
        failing, token = claim(stack.catalog, lease_s=1e6)
        assert warnings() == []
        stack.catalog.fail_job(failing.id, token, code="c", message="m", retry=True)
        ended, token = claim(stack.catalog, lease_s=1e6)
        stack.catalog.fail_job(ended.id, token, code="c", message="m", retry=False)
        assert warnings() == []  # the first waits for its next attempt
        clock.advance(3600)
        assert warnings() == []  # it is due by now, but a worker may be about to take it
        clock.advance(PATIENCE_S)
        assert len(warnings()) == 1
