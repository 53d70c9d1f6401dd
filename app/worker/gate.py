"""Who uses the model next: one call at a time, a query before the next batch of an ingest."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

INGEST_PATIENCE_S = 1.0
# An ingest pauses as many times as long as it worked as queries came in the last second, up to:
MOST_COURTESY = 8
MAX_PAUSE_S = 1.0
MAX_TURNS = 256


class GateFull(Exception):
    """More calls wait for the model than may.

    An API lets in few queries at once, so it takes many APIs, or a mistake, to get here.
    """

    code = "worker_busy"


@dataclass(order=True, slots=True)
class _Turn:
    due: float
    number: int
    call: Callable[[], Any] | None = field(compare=False)
    future: Future[Any] = field(compare=False)


class Gate:
    """The one thread that runs the model, and the queue in front of it.

    A call is due when it arrives, a batch of an ingest `ingest_patience_s` later; what is due first
    goes first. So a query waits for one running batch at most, and a stream of queries slows an
    ingest down but never stops it. While queries come, an ingest also pauses after each batch: it
    takes processors for decoding that queries would wait for otherwise. One thread also means one
    pool of PyTorch's CPU threads, however many requests are in flight.
    """

    def __init__(self, ingest_patience_s: float = INGEST_PATIENCE_S) -> None:
        self._ingest_patience_s = ingest_patience_s
        self._queried_at: deque[float] = deque(maxlen=MOST_COURTESY)
        self._batch_s = 0.0
        self._numbers = itertools.count()
        self._turns: queue.PriorityQueue[_Turn] = queue.PriorityQueue()
        # daemon: a long call of the model must not hold up the end of the process
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def query(self, call: Callable[[], Result]) -> Future[Result]:
        """Run `call` for somebody who waits for the answer; raises GateFull."""
        if self._turns.qsize() >= MAX_TURNS:
            raise GateFull(f"{MAX_TURNS} calls wait for the model.")
        self._queried_at.append(time.monotonic())
        return self._enqueue(time.monotonic(), call)

    def ingest(self, call: Callable[[], Result]) -> Future[Result]:
        """Run `call`, one batch of an ingest, when no query is waiting; may pause before."""
        if queries := self._recent_queries():
            time.sleep(min(MAX_PAUSE_S, queries * self._batch_s))

        def timed() -> Result:
            began = time.monotonic()
            try:
                return call()
            finally:
                self._batch_s = time.monotonic() - began

        return self._enqueue(time.monotonic() + self._ingest_patience_s, timed)

    def pieces(self, batch: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """A batch of an ingest as it is best encoded: whole, or one by one while queries come.

        A call that runs is not interrupted, so its length is what a query waits for.
        """
        start = 0
        while start < len(batch):
            end = start + 1 if self._recent_queries() else len(batch)
            yield batch[start:end]
            start = end

    def close(self) -> None:
        """Take no more turns after those already waiting."""
        self._turns.put(_Turn(float("inf"), next(self._numbers), None, Future()))

    def _recent_queries(self) -> int:
        """How many queries came in the last second, as far as that matters."""
        since = time.monotonic() - 1.0
        return sum(queried_at > since for queried_at in tuple(self._queried_at))

    def _enqueue(self, due: float, call: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        self._turns.put(_Turn(due, next(self._numbers), call, future))
        return future

    def _run(self) -> None:
        while (turn := self._turns.get()).call is not None:
            if not turn.future.set_running_or_notify_cancel():
                continue
            try:
                result = turn.call()
            except BaseException as error:  # noqa: BLE001  it belongs to the caller
                turn.future.set_exception(error)
            else:
                turn.future.set_result(result)
