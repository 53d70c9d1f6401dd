"""A folder with two indexed clips to begin with, three more to send, and lives that may end."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from tests.app.conftest import checkpoint, encoder, write_clip
from tests.faults.life import CHOICES, live, opened, sha256_of, work
from xclip.encoder import Encoder

__all__ = ["CHOICES", "checkpoint", "encoder"]

LIFE_S = 600.0
T = TypeVar("T")
_context = multiprocessing.get_context("forkserver")


def sample(cases: Sequence[T], every: int) -> list[T]:
    """The first, every so many-th after it and the last one; in `make faults` all of them."""
    if os.environ.get("XCLIP_TEST_FAULTS") == "all":
        return list(cases)
    return [*cases[:-1:every], cases[-1]]


@dataclass(frozen=True)
class World:
    """A copy of the prepared folder. `present` are the clips in it, `clips` those to send."""

    folder: Path
    present: set[str]
    clips: list[Path]

    @property
    def data(self) -> Path:
        """The service's own folder."""
        return self.folder / "data"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> World:
    """Made once: two videos that are ready."""
    folder = tmp_path_factory.mktemp("prepared")
    clips = [write_clip(folder / f"{n}.mp4", seconds=2 + n, seed=n) for n in range(4)]
    with opened(folder, encoder) as stack:
        for clip in clips[:2]:
            stack.upload(clip)
        work(stack)
    return World(folder, {sha256_of(clip) for clip in clips[:2]}, clips[2:])


@pytest.fixture
def world(prepared: World, tmp_path: Path) -> World:
    """A copy of one's own."""
    shutil.copytree(prepared.data, tmp_path / "data")
    return World(tmp_path, prepared.present, prepared.clips)


@pytest.fixture(scope="session")
def spend_life(checkpoint: Path) -> Callable[[World, str], int]:
    """Live once in a new process, with these failpoints armed; returns its exit code."""
    _context.set_forkserver_preload(["tests.faults.life"])

    def spend(world: World, failures: str) -> int:
        arguments = (world.folder, checkpoint, world.clips, failures)
        process = _context.Process(target=live, args=arguments)
        process.start()
        process.join(LIFE_S)
        assert process.exitcode is not None, "the life does not end"
        return process.exitcode

    return spend
