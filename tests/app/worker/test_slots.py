"""Slots: as many ingests as are allowed, and one short one more beside nothing but long ones."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from app.worker.slots import LONG_S, IngestSlots
from tests.app.catalog.samples import HandClock


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_short_ingest_runs_beside_nothing_but_long_ones(count: int) -> None:
    """The further slot opens with the last slot that holds a long one, and there is only one."""
    slots = IngestSlots(count, HandClock().monotonic)
    with ExitStack() as taken:
        held = [taken.enter_context(slots.take()) for _ in range(count)]
        for slot in held:
            with slots.take() as none:
                assert none is None
            assert slot is not None
            slot.price_s = LONG_S + 1
            assert not slot.must_make_way
        further = taken.enter_context(slots.take())
        assert further is not None
        assert further.for_short
        with slots.take() as none:
            assert none is None
    with slots.take() as slot:
        assert slot is not None
        assert not slot.for_short


def test_an_ingest_is_long_by_its_price_or_by_what_it_took() -> None:
    """In the slot for short ones it makes way then; elsewhere it may go on."""
    clock = HandClock()
    slots = IngestSlots(1, clock.monotonic)
    with slots.take() as slot:
        assert slot is not None
        clock.advance(LONG_S + 1)
        assert (slot.is_long, slot.must_make_way) == (True, False)
        with slots.take() as further:
            assert further is not None
            assert not further.must_make_way
            clock.advance(LONG_S + 1)
            assert further.must_make_way
