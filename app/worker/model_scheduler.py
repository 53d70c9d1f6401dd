"""Priority scheduler of the model: one call at a time, queries before the next ingest batch."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from app.worker.errors import CallerGone, Interrupted, SchedulerFull

Result = TypeVar("Result")

INGEST_PATIENCE_S = 1.0
# An ingest pauses as many times as long as it worked as queries came in the last second, up to:
MOST_COURTESY = 8
MAX_TURNS = 256


def _always() -> bool:
    return True


_wanted: Final[ContextVar[Callable[[], bool]]] = ContextVar("wanted", default=_always)


@contextmanager
def while_wanted(wanted: Callable[[], bool]) -> Iterator[None]:
    """Within the block, also in threads it hands its context to, queries are made for a caller.

    Once `wanted` is false, those that have not begun fail with CallerGone.
    """
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def still_wanted() -> Callable[[], bool]:
    """A function that tells, from any thread, whether the current caller still waits."""
    return _wanted.get()


@dataclass(frozen=True, slots=True)
class _Turn:
    call: Callable[[], Any]
    future: Future[Any]
    wanted: Callable[[], bool]
    since: float
    is_batch: bool


class ModelScheduler:
    """The one thread that runs the model, and the two queues in front of it.

    Queries go strictly before batches of ingests, except that a batch goes once none has run for
    `ingest_patience_s`: a stream of queries slows an ingest down but never stops it. A query waits
    for one running batch at most, or for the part of it until it lets queries pass. While queries
    come, ingests also pause after each batch. One thread also means one pool of PyTorch's CPU
    threads, however many requests are in flight.
    """

    def __init__(
        self,
        ingest_patience_s: float = INGEST_PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ingest_patience_s = ingest_patience_s
        self._clock = clock
        self._queried_at: deque[float] = deque(maxlen=MOST_COURTESY)
        self._batch_s = 0.0
        self._passed_s = 0.0  # that queries took within the batch that runs
        self._batch_ended = 0.0
        self._queries: deque[_Turn] = deque()
        self._batches: deque[_Turn] = deque()
        self._changed = threading.Condition()
        self._closed = False
        # daemon: a long call of the model must not hold up the end of the process
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def query(self, call: Callable[[], Result]) -> Future[Result]:
        """Run `call` for a caller that waits for the answer; raises SchedulerFull."""
        now = self._clock()
        with self._changed:
            if len(self._queries) >= MAX_TURNS:
                raise SchedulerFull(f"{MAX_TURNS} calls wait for the model.")
            self._queried_at.append(now)
            turn = _Turn(call, Future(), still_wanted(), now, is_batch=False)
            return self._enqueue(self._queries, turn)

    def ingest(self, call: Callable[[], Result]) -> Future[Result]:
        """Run `call`, one batch of an ingest, when no query is waiting."""
        with self._changed:
            turn = _Turn(call, Future(), _always, self._clock(), is_batch=True)
            return self._enqueue(self._batches, turn)

    def crowded(self) -> bool:
        """Whether queries came in the last second.

        What runs is not interrupted, so a batch should then be as short as can be.
        """
        with self._changed:
            return self._recent_queries(self._clock()) > 0

    @property
    def waiting(self) -> int:
        """How many turns are waiting now."""
        with self._changed:
            return len(self._queries) + len(self._batches)

    def let_queries_pass(self) -> None:
        """Take the queries that wait now; to be called by a batch, wherever it can be interrupted.

        Queries that come meanwhile wait for the next such point, so the batch does end.
        """
        began = self._clock()
        for _ in range(len(self._queries)):
            self._take(self._queries.popleft())
        self._passed_s += self._clock() - began

    def close(self) -> None:
        """Take no more turns after those already waiting: later ones fail with Interrupted."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _enqueue(self, queue: deque[_Turn], turn: _Turn) -> Future[Any]:
        if self._closed:  # the thread may have ended: it would be waited for without an end
            turn.future.set_exception(Interrupted("The worker is stopping."))
        else:
            queue.append(turn)
            self._changed.notify()
        return turn.future

    def _recent_queries(self, now: float) -> int:
        """How many queries came in the last second, as far as that matters."""
        return sum(queried_at > now - 1.0 for queried_at in self._queried_at)

    def _run(self) -> None:
        while (turn := self._next()) is not None:
            began, self._passed_s = self._clock(), 0.0
            if self._take(turn) and turn.is_batch:
                self._batch_ended = self._clock()
                self._batch_s = self._batch_ended - began - self._passed_s

    def _take(self, turn: _Turn) -> bool:
        """Run a turn's call, unless its caller has gone; whether it was run."""
        if not turn.future.set_running_or_notify_cancel():
            return False
        if not turn.wanted():
            turn.future.set_exception(CallerGone("The caller has gone."))
            return False
        try:
            result = turn.call()
        except BaseException as error:  # noqa: BLE001  it belongs to the caller
            turn.future.set_exception(error)
        else:
            turn.future.set_result(result)
        return True

    def _next(self) -> _Turn | None:
        """The turn to take, as soon as there is one; None once closed and done."""
        with self._changed:
            while True:
                now = self._clock()
                if self._overdue(now):
                    return self._batches.popleft()
                if self._queries:
                    return self._queries.popleft()
                pause_s = self._pause_s(now)
                if self._batches and pause_s <= 0:
                    return self._batches.popleft()
                if self._closed and not self._batches:
                    return None
                self._changed.wait(pause_s if self._batches else None)

    def _overdue(self, now: float) -> bool:
        """Whether ingests have been kept waiting for too long."""
        if not self._batches:
            return False
        return now - max(self._batch_ended, self._batches[0].since) >= self._ingest_patience_s

    def _pause_s(self, now: float) -> float:
        """Seconds from now until the next batch may run, if no query comes."""
        courtesy_s = self._recent_queries(now) * self._batch_s
        return self._batch_ended + min(self._ingest_patience_s, courtesy_s) - now
