"""Concurrency limiter: limits the requests of a class, with a queue whose wait is bounded.

The wait of a request is estimated when it arrives: its position times what requests take, divided
by how many run at once. If that is too long the request is refused at once, not after it has waited
in vain. A burst may wait up to `max_wait_s`. If the running requests take longer than expected, a
request that has waited for `max_wait_s` is refused then. A queue that does not get empty for
`BURST_S` is no burst but overload, and a queue would only make every request late. From then on
there is no queue, only half as many run at once, since all of them share the same processors, and
every other request is refused, until no request was refused for `CALM_S`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from app.errors import Overloaded

MAX_WAITING: Final = 64
BURST_S: Final = 0.1
CALM_S: Final = 5.0
_NEWEST: Final = 0.1  # weight of the newest request in what requests take


class Permit:
    """A request's permit: in the queue until `ready` is done, at work from then on."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = False
        self._since = 0.0
        self._seconds = 0.0

    def leave(self, *, served: bool) -> None:
        """Let the next one in. What it took counts if it was `served`. Only the first call counts.

        A request that has done its work, and is only waiting for something, may call it early.
        """
        if self._left:
            return
        self._left = True
        if not self.ready.done():
            self._limiter.forget(self)
            return
        self._stop()
        if served:
            self._limiter.learn(self._seconds)

    @asynccontextmanager
    async def released(self) -> AsyncIterator[None]:
        """Within the block the request waits for something else, and others may work.

        If the block fails the permit is not taken again: an error needs none.
        """
        self._stop()
        self.ready = asyncio.get_running_loop().create_future()
        yield
        self._limiter.rejoin(self)
        await self.turn()

    async def turn(self, gone: asyncio.Future[Any] | None = None) -> bool:
        """Wait for this request's turn; False if `gone`, the client's hang-up, came first.

        Raises Overloaded after `max_wait_s`, when the running requests take longer than expected.
        """
        ends: list[asyncio.Future[Any]] = [self.ready] if gone is None else [self.ready, gone]
        # Not `await self.ready`: a caller that is cancelled must not cancel the future.
        await asyncio.wait(
            ends, timeout=self._limiter.max_wait_s, return_when=asyncio.FIRST_COMPLETED
        )
        if self.ready.done():
            return True
        if gone is not None and gone.done():
            return False
        raise self._limiter.refusal(self._limiter.max_wait_s)

    def start(self) -> None:
        """It is this request's turn."""
        self._since = self._limiter.clock()
        self.ready.set_result(None)

    def _stop(self) -> None:
        self._seconds += self._limiter.clock() - self._since
        self._limiter.release()


class ConcurrencyLimiter:
    """The queue of one class; first come, first served. For one event loop."""

    def __init__(
        self, what: str, *, at_once: int, max_wait_s: float, clock: Callable[[], float]
    ) -> None:
        self.clock = clock
        self._what = what
        self._at_once = at_once
        self.max_wait_s = max_wait_s
        self._working = 0
        self._waiting: deque[Permit] = deque()
        self._request_s = 0.0  # what a request takes; nothing is known before the first
        self._standing_since: float | None = None  # since when a request has been waiting
        self._strained_until = float("-inf")

    @property
    def working(self) -> int:
        """How many are running now."""
        return self._working

    @property
    def waiting(self) -> int:
        """How many are in the queue now."""
        return len(self._waiting)

    def check(self) -> None:
        """Raise Overloaded if a request that came now would be refused."""
        now = self.clock()
        strained = self._is_strained(now)
        at_once = max(1, self._at_once // 2) if strained else self._at_once
        if self._working < at_once and not self._waiting:
            return
        wait_s = (len(self._waiting) + 1) * self._request_s / self._at_once
        if len(self._waiting) < MAX_WAITING and wait_s <= self.max_wait_s and not strained:
            return
        if strained:
            self._strained_until = now + CALM_S
        raise self.refusal(wait_s)

    def refusal(self, wait_s: float) -> Overloaded:
        """The error of a request that would have to wait for `wait_s`, or has waited in vain."""
        return Overloaded(
            f"Too many {self._what} at once: {self._working} are running, {len(self._waiting)} "
            "wait. Try again later.",
            retry_after_s=wait_s,
        )

    def take(self) -> Permit:
        """A permit, at work at once or in the queue; raises Overloaded if the queue is too long."""
        self.check()
        permit = Permit(self)
        self._waiting.append(permit)
        self._advance()
        return permit

    def forget(self, permit: Permit) -> None:
        """A request in the queue has gone."""
        if permit in self._waiting:
            self._waiting.remove(permit)
        self._advance()

    def release(self) -> None:
        """A request at work is done."""
        self._working -= 1
        self._advance()

    def rejoin(self, permit: Permit) -> None:
        """A request that released its permit goes on, as the next one: it has waited before."""
        self._waiting.appendleft(permit)
        self._advance()

    def learn(self, seconds: float) -> None:
        """A request has taken so long."""
        if self._request_s:
            self._request_s += _NEWEST * (seconds - self._request_s)
        else:
            self._request_s = seconds

    def _advance(self) -> None:
        while self._waiting and self._working < self._at_once:
            self._working += 1
            self._waiting.popleft().start()
        if not self._waiting:
            self._standing_since = None
        elif self._standing_since is None:
            self._standing_since = self.clock()

    def _is_strained(self, now: float) -> bool:
        since = self._standing_since
        if since is not None and now - since > BURST_S:
            self._strained_until = now + CALM_S
        return now < self._strained_until
