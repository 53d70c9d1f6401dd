"""Retries with backoff: repeats requests refused for now or cut off by a broken connection."""

from __future__ import annotations

import random

import httpx

from xclip_search.errors import ApiError, ServiceAway
from xclip_search.steps import Call, Copy, Flow, Pause, T, refusal

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
PASSING_STATUSES = frozenset({423, 429, 503})  # 423: a chunk of the same upload is arriving
_IN_FLIGHT = "idempotency_in_flight"  # the same request is still being served


def retried(flow: Flow[T], patience_s: float) -> Flow[T]:
    """The same operation, with each of its calls repeated for as long as that makes sense.

    patience_s : seconds that one call may spend waiting to be sent again, all together; a service
        that requests a longer wait than is left gets no further request
    """
    answer: httpx.Response | None = None
    error: Exception | None = None
    while True:
        try:
            step = flow.send(answer) if error is None else flow.throw(error)
        except StopIteration as end:
            result: T = end.value
            return result
        answer, error = None, None
        try:
            if isinstance(step, Pause | Copy):
                yield step
            else:
                answer = yield from _sent(step, patience_s)
        except (ApiError, OSError) as failed:
            error = failed


def _sent(call: Call, patience_s: float) -> Flow[httpx.Response]:
    """A successful answer to the call; raises the last ApiError once no time to wait is left."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            answer = yield call
        except ServiceAway as away:
            error: ApiError = away
            again = away.passing and call.repeatable
        else:
            assert answer is not None
            if answer.is_success:
                return answer
            error = refusal(answer)
            again = error.status in PASSING_STATUSES or error.code == _IN_FLIGHT
        wait_s = _wait_s(error, pause_s)
        if not again or wait_s > patience_s:
            raise error
        patience_s -= wait_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        yield Pause(wait_s)


def _wait_s(error: ApiError, pause_s: float) -> float:
    """The service's `Retry-After`, else a pause with jitter: clients must not return together."""
    if error.retry_after_s is not None:
        return error.retry_after_s
    return pause_s * random.uniform(0.5, 1.0)  # noqa: S311  no secret hangs on it
