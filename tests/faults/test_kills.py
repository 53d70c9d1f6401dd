"""`kill -9` at every named moment of an ingest or a delete loses nothing and doubles nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from app import failpoints
from tests.faults.conftest import World
from tests.faults.life import check_afterwards
from xclip.encoder import Encoder


@pytest.mark.parametrize("moment", failpoints.NAMES)
def test_a_kill_at_this_moment_costs_nothing_but_time(
    moment: str, world: World, spend_life: Callable[[World, str], int], encoder: Encoder
) -> None:
    """The process dies there, so the moment does come; the next one finds all that was promised."""
    assert spend_life(world, f"{moment}:kill") == -signal.SIGKILL
    check_afterwards(world.folder, encoder, world.present)


def test_a_life_without_failures_keeps_every_promise(
    world: World, spend_life: Callable[[World, str], int], encoder: Encoder
) -> None:
    """What the others are compared with: it ends by itself, and all is as it should be."""
    assert spend_life(world, "") == 0
    check_afterwards(world.folder, encoder, world.present)
