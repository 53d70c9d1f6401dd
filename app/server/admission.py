"""Load shedding: under overload a request is refused at once or served in time.

An ASGI layer behind authentication and before the body is read. Requests are of four classes:

    query    searches, labels and heat maps of what is stored, texts to be embedded: they share the
             model
    clip     a video uploaded only to search by it or label it: it is decoded first; or an
             interval of a stored video to be exported
    upload   videos received, whose jobs the queue must have room for
    light    everything else; it never waits here, and there are always threads for it

Each of the first three has a concurrency limiter of its own (`app.server.concurrency`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.clock import Clock
from app.content_length import content_length
from app.errors import Overloaded, QueueFull
from app.problems import problem_of, problem_response
from app.route_table import Cost, RoutePolicy
from app.server.concurrency import ConcurrencyLimiter, Permit
from app.server.queue_limit import IngestQueueLimit
from app.settings import Settings
from app.telemetry.metrics import Metrics

LIGHT_THREADS: Final = 24
BODIES_BYTES: Final = 64 << 20  # of queries that are being received, all together
TRANSFER_WAIT_S: Final = 10.0  # the longest wait of an upload or a clip for its turn
_BODIES_RETRY_S: Final = 1.0


def threads_needed(settings: Settings) -> int:
    """How many threads there must be, so that one is free whenever a light request comes."""
    return settings.max_queries + settings.max_clips + settings.max_uploads + LIGHT_THREADS


class AdmissionControl:
    """ASGI layer: a concurrency limiter for each class, and the limit of the ingest queue.

    A request that was let in finds its permit at `request.state.permit`.
    """

    def __init__(self, app: ASGIApp, settings: Settings, clock: Clock, metrics: Metrics) -> None:
        self._app = app
        self._limiters: Mapping[Cost, ConcurrencyLimiter] = {
            cost: ConcurrencyLimiter(
                what, at_once=at_once, max_wait_s=max_wait_s, clock=clock.monotonic
            )
            for cost, what, at_once, max_wait_s in (
                (Cost.QUERY, "queries", settings.max_queries, settings.max_query_wait_s),
                (Cost.CLIP, "clips", settings.max_clips, TRANSFER_WAIT_S),
                (Cost.UPLOAD, "uploads", settings.max_uploads, TRANSFER_WAIT_S),
            )
        }
        for cost, limiter in self._limiters.items():
            metrics.watch_limiter(
                cost.value, partial(_working, limiter), partial(_waiting, limiter)
            )
        self._queue_limit = IngestQueueLimit(settings, clock)
        self._bodies_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request in its turn, or refuse it."""
        policy: RoutePolicy | None = scope.get("state", {}).get("route_policy")
        cost = policy.cost if policy else Cost.LIGHT
        if cost is Cost.LIGHT:
            await self._app(scope, receive, send)
            return
        try:
            if cost is Cost.QUERY:
                await self._query(scope, receive, send)
            else:
                await self._transfer(cost, scope, receive, send)
        except (Overloaded, QueueFull) as error:
            answer = problem_response(problem_of(error), scope["state"]["request_id"])
            await answer(scope, receive, send)

    async def _query(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the body first: a client that sends it slowly must not hold a permit meanwhile."""
        limiter = self._limiters[Cost.QUERY]
        limiter.check()
        body = _Body(scope, receive)
        try:
            async for size in body.sizes():
                self._bodies_bytes += size
                if self._bodies_bytes > BODIES_BYTES:
                    raise Overloaded("Too many bodies at once. Try again later.", _BODIES_RETRY_S)
            if not body.client_gone:
                await self._serve(limiter.take(), scope, body.receive, send, receive)
        finally:
            self._bodies_bytes -= body.total

    async def _transfer(self, cost: Cost, scope: Scope, receive: Receive, send: Send) -> None:
        if cost is Cost.UPLOAD and scope["method"] == "POST":
            await self._queue_limit.check(scope["state"]["parts"].catalog)
        await self._serve(self._limiters[cost].take(), scope, receive, send)

    async def _serve(
        self,
        permit: Permit,
        scope: Scope,
        receive: Receive,
        send: Send,
        hang_up: Receive | None = None,
    ) -> None:
        """Wait for the permit and serve; `hang_up` tells meanwhile that the client has gone.

        It works only once the body has been taken: before, it would return the body.
        """
        served = False

        async def watched_send(message: Message) -> None:
            nonlocal served
            if message["type"] == "http.response.start":
                served = message["status"] < 400
            await send(message)

        scope["state"]["permit"] = permit
        try:
            if await _wait(permit, hang_up):
                await self._app(scope, receive, watched_send)
        finally:
            permit.leave(served=served)


def _working(limiter: ConcurrencyLimiter) -> int:
    return limiter.working


def _waiting(limiter: ConcurrencyLimiter) -> int:
    return limiter.waiting


async def _wait(permit: Permit, hang_up: Receive | None) -> bool:
    """Whether the permit's turn came before the client went; raises Overloaded."""
    if hang_up is None or permit.ready.done():
        return await permit.turn()
    gone = asyncio.ensure_future(hang_up())
    try:
        return await permit.turn(gone)
    finally:
        gone.cancel()


class _Body:
    """A request's body, taken ahead of the application and given to it again.

    A body larger than its route allows is left for the application to refuse.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.total = 0
        self.client_gone = False
        self._receive = receive
        self._messages: deque[Message] = deque()
        policy: RoutePolicy = scope["state"]["route_policy"]
        self._max_bytes = policy.body_bytes
        self._more = content_length(Headers(scope=scope)) <= self._max_bytes

    async def sizes(self) -> AsyncIterator[int]:
        """Take the body; yields the length of each part."""
        while self._more and self.total <= self._max_bytes:
            message = await self._receive()
            self._messages.append(message)
            if message["type"] != "http.request":
                self.client_gone = True
                return
            size = len(message.get("body", b""))
            self.total += size
            self._more = message.get("more_body", False)
            yield size

    async def receive(self) -> Message:
        """The same messages for the application, then those that follow."""
        return self._messages.popleft() if self._messages else await self._receive()
