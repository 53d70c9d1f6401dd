"""Decoding for the worker: segments in order, and an end whenever it is asked for."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.worker.decoding import WATCH_S
from app.worker.errors import Interrupted
from xclip.errors import DecoderLost
from xclip.video.sampling import Segmentation, windows

from .conftest import Parts

HALVES = Segmentation(1.0, 0.5)


def never() -> bool:
    return False


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.02)
    return False


def test_the_segments_come_in_order(parts: Parts, make_clip: Callable[..., Path]) -> None:
    """`total` is how many there will be, known before the first one."""
    with parts.decoder.open(make_clip(seconds=5), HALVES, never) as decoding:
        assert decoding.total == len(windows(decoding.info.duration_s, HALVES))
        segments = list(decoding.segments())
    assert [segment.index for segment in segments] == list(range(decoding.total))


def test_a_decoder_that_hangs_is_stopped_from_outside(
    parts: Parts, make_clip: Callable[..., Path]
) -> None:
    """The caller that waits for a segment is freed once the work is no longer wanted."""
    stopped = threading.Event()
    path = make_clip(seconds=60, fps=4)
    with parts.decoder.open(path, HALVES, stopped.is_set) as decoding:
        os.kill(decoding._process.pid, signal.SIGSTOP)
        threading.Timer(0.2, stopped.set).start()
        with pytest.raises(Interrupted):
            list(decoding.segments())
        assert gone(decoding._process.pid)


def test_a_decoder_that_is_done_can_be_stopped_too(
    parts: Parts, make_clip: Callable[..., Path]
) -> None:
    """Its consumer may be far behind, and learns of the stop by asking."""
    stopped = threading.Event()
    with parts.decoder.open(make_clip(seconds=1), HALVES, stopped.is_set) as decoding:
        assert list(decoding.segments())
        assert gone(decoding._process.pid)
        decoding.check()
        stopped.set()
        time.sleep(2 * WATCH_S)  # in which the watcher has nothing to kill
        with pytest.raises(Interrupted):
            decoding.check()


def test_leaving_the_block_ends_the_process(parts: Parts, make_clip: Callable[..., Path]) -> None:
    """A consumer that fails half-way leaves nothing running."""
    with (
        contextlib.suppress(ZeroDivisionError),
        parts.decoder.open(make_clip(seconds=60, fps=4), HALVES, never) as decoding,
    ):
        pid = decoding._process.pid
        assert Path(f"/proc/{pid}").exists()
        raise ZeroDivisionError
    assert gone(pid)


def test_a_decoder_killed_by_others_is_lost(parts: Parts, make_clip: Callable[..., Path]) -> None:
    """Only a stop that was asked for counts as an interruption."""
    with parts.decoder.open(make_clip(seconds=60, fps=4), HALVES, never) as decoding:
        os.kill(decoding._process.pid, signal.SIGKILL)
        with pytest.raises(DecoderLost):
            list(decoding.segments())
