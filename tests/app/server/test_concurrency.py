"""The line of one class of requests, by a clock that is turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps

import pytest

from app.errors import Overloaded
from app.server.concurrency import BURST_S, CALM_S, MAX_WAITING, ConcurrencyLimiter, Permit


class Hand:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a coroutine test."""

    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    del run.__wrapped__  # pytest would look at the signature of the coroutine
    return run


def make_limiter(clock: Hand, *, at_once: int = 2, max_wait_s: float = 10.0) -> ConcurrencyLimiter:
    return ConcurrencyLimiter("queries", at_once=at_once, max_wait_s=max_wait_s, clock=clock)


def measured(limiter: ConcurrencyLimiter, clock: Hand, seconds: float) -> None:
    """One request that took so long."""
    permit = limiter.take()
    clock.now += seconds
    permit.leave(served=True)


def turns(*permits: Permit) -> list[bool]:
    return [permit.ready.done() for permit in permits]


@in_loop
async def test_the_first_come_is_the_first_served() -> None:
    """Two at work; each that leaves lets the next one in, in order."""
    limiter = make_limiter(Hand())
    permits = [limiter.take() for _ in range(5)]
    assert turns(*permits) == [True, True, False, False, False]
    permits[1].leave(served=True)
    assert turns(*permits) == [True, True, True, False, False]
    permits[0].leave(served=False)
    assert turns(*permits) == [True, True, True, True, False]


@in_loop
async def test_a_wait_too_long_is_refused_when_it_begins() -> None:
    """Requests take 4 s, two at once: the sixth in line would wait 12 s, and hears that now."""
    clock = Hand()
    limiter = make_limiter(clock)
    measured(limiter, clock, 4.0)
    for _ in range(2 + 5):
        limiter.take()
    with pytest.raises(Overloaded, match="2 are running, 5 wait") as refused:
        limiter.take()
    assert refused.value.retry_after_s == 12.0
    with pytest.raises(Overloaded):
        limiter.check()


@in_loop
async def test_the_line_is_bounded_when_nothing_is_known_yet() -> None:
    """Before the first request has ended there is no estimate, but there is an end."""
    limiter = make_limiter(Hand())
    for _ in range(2 + MAX_WAITING):
        limiter.take()
    with pytest.raises(Overloaded):
        limiter.take()


@in_loop
async def test_a_burst_may_wait_and_a_standing_line_may_not_grow() -> None:
    """A line that does not get empty is overload: from then on half as many, and no line."""
    clock = Hand()
    limiter = make_limiter(clock, at_once=4)
    measured(limiter, clock, 1.0)
    permits = [limiter.take() for _ in range(4 + 10)]  # a burst
    clock.now += BURST_S + 0.1
    with pytest.raises(Overloaded):  # the line stands: one more would wait 2.75 s
        limiter.take()
    for permit in permits:
        permit.leave(served=False)
    for _ in range(2):  # overload is not over because the line is empty once
        limiter.take()
    with pytest.raises(Overloaded):
        limiter.take()


@in_loop
async def test_calm_returns_when_no_request_was_refused_for_a_while() -> None:
    """After that a burst may wait again."""
    clock = Hand()
    limiter = make_limiter(clock, at_once=1)
    measured(limiter, clock, 1.0)
    permits = [limiter.take() for _ in range(3)]
    clock.now += BURST_S + 0.1
    with pytest.raises(Overloaded):
        limiter.take()
    for permit in permits:
        permit.leave(served=False)
    clock.now += CALM_S + 0.1
    for _ in range(1 + 10):
        limiter.take()


@in_loop
async def test_who_leaves_the_line_makes_room() -> None:
    """A client that vanishes while it waits costs no other request its turn."""
    limiter = make_limiter(Hand(), at_once=1)
    first, second, third = (limiter.take() for _ in range(3))
    second.leave(served=False)
    second.leave(served=False)
    first.leave(served=True)
    assert third.ready.done()
    third.leave(served=True)
    assert limiter.take().ready.done()


@in_loop
async def test_who_stands_aside_lets_others_work_and_goes_on_next() -> None:
    """What it waited for does not count as what a request takes."""
    clock = Hand()
    limiter = make_limiter(clock, at_once=1, max_wait_s=3.0)
    first, second, third = (limiter.take() for _ in range(3))
    clock.now += 1.0
    async with first.released():
        assert turns(second, third) == [True, False]
        clock.now += 100.0
        asyncio.get_running_loop().call_later(0.01, lambda: second.leave(served=False))
    assert third.ready.done() is False
    clock.now += 1.0
    first.leave(served=True)  # two seconds of work: one waits, so the next would wait 4 s
    assert third.ready.done()
    limiter.take()
    with pytest.raises(Overloaded) as refused:
        limiter.take()
    assert refused.value.retry_after_s == 4.0


@in_loop
async def test_an_error_while_aside_needs_no_place() -> None:
    """The permit stays with those that work."""
    limiter = make_limiter(Hand(), at_once=1)
    first, second = limiter.take(), limiter.take()
    with pytest.raises(ValueError, match="gone"):
        async with first.released():
            raise ValueError("gone")
    first.leave(served=False)
    assert second.ready.done()
    second.leave(served=True)
    assert limiter.take().ready.done()


@in_loop
async def test_a_cancelled_wait_leaves_the_line_whole() -> None:
    """The server cancels requests when it ends: no other request may fail by that."""
    limiter = make_limiter(Hand(), at_once=1)
    first, second, third = (limiter.take() for _ in range(3))
    waiting = asyncio.create_task(second.turn())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    second.leave(served=False)
    first.leave(served=False)
    assert third.ready.done()


@in_loop
async def test_a_wait_ends_when_it_has_lasted_as_long_as_the_longest() -> None:
    """The running request hangs, which no estimate knows: who waits is refused, not kept."""
    limiter = make_limiter(Hand(), at_once=1, max_wait_s=0.05)
    hanging, waiting = limiter.take(), limiter.take()
    with pytest.raises(Overloaded, match="1 are running, 1 wait") as refused:
        await waiting.turn()
    assert refused.value.retry_after_s == 0.05
    waiting.leave(served=False)
    assert limiter.waiting == 0
    hanging.leave(served=False)
    assert limiter.take().ready.done()


@in_loop
async def test_who_comes_back_to_the_line_waits_no_longer_than_any_other() -> None:
    """A request that released its permit, for the job that it waits for, is bounded too."""
    limiter = make_limiter(Hand(), at_once=1, max_wait_s=0.05)
    first, hanging = limiter.take(), limiter.take()
    with pytest.raises(Overloaded):
        async with first.released():
            assert hanging.ready.done()
    first.leave(served=False)
    assert (limiter.working, limiter.waiting) == (1, 0)
