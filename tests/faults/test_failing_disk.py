"""A disk that is full or broken at any write: the service says so, and nothing promised is lost."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from app import failpoints
from tests.faults.conftest import World, sample
from tests.faults.life import Journal, all_videos, check_afterwards, opened, upload, use
from xclip.encoder import Encoder

MOST_SYNCS = 60
KINDS = [("enospc", "eio"), ("eio", "enospc")]
FAILURES = [  # in an order of which every other one has each moment, and each kind by turns
    (moment, failure)
    for moment, kinds in zip(failpoints.NAMES, itertools.cycle(KINDS), strict=False)
    for failure in kinds
]


@pytest.mark.parametrize(("moment", "failure"), sample(FAILURES, 2))
def test_an_error_of_the_disk_at_this_moment_loses_nothing(
    moment: str, failure: str, world: World, encoder: Encoder
) -> None:
    """The service lives on in the same process; a later one finds everything."""
    with opened(world.folder, encoder) as stack:
        failpoints.configure(f"{moment}:{failure}")
        use(stack, Journal(world.folder / "journal"), world.clips)
        assert stack.api.get("/livez").is_success
        assert all_videos(stack)
    check_afterwards(world.folder, encoder, world.present)


def test_a_full_disk_is_said_to_the_uploader(world: World, encoder: Encoder) -> None:
    """507 with a code, and the half-written file is gone."""
    with opened(world.folder, encoder) as stack:
        failpoints.configure("upload_written:enospc")
        answer = upload(stack, Journal(world.folder / "journal"), world.clips[0])
        assert answer.status_code == httpx.codes.INSUFFICIENT_STORAGE
        assert answer.json()["code"] == "storage_full"
        assert list(stack.media.tmp.glob("incoming-*")) == []
        failpoints.configure("")
        assert upload(stack, Journal(world.folder / "journal"), world.clips[0]).is_success
    check_afterwards(world.folder, encoder, world.present)


@contextmanager
def failing_fsync(monkeypatch: pytest.MonkeyPatch, which: int) -> Iterator[list[int]]:
    """Within the block the call of that number, counted from 1, fails; yields the calls' numbers.

    The database syncs by itself, in C: its own failures are tested on a full file system.
    """
    calls: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        calls.append(len(calls) + 1)
        if calls[-1] == which:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield calls


def count_syncs(world: World, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, which: int) -> int:
    with (
        opened(world.folder, encoder) as stack,
        failing_fsync(monkeypatch, which) as calls,
    ):
        use(stack, Journal(world.folder / "journal"), world.clips)
        return len(calls)


@pytest.mark.parametrize("which", sample(range(1, 13), 4))
def test_an_fsync_that_fails_is_never_taken_for_success(
    which: int, world: World, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of them it is: what was answered with 2xx nevertheless is there and whole."""
    assert which <= count_syncs(world, encoder, monkeypatch, which) <= MOST_SYNCS
    check_afterwards(world.folder, encoder, world.present)
