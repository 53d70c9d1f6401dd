"""The gate: one thread owns the model, queries overtake ingest, and ingest is never starved."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager

import pytest

from app.worker.errors import Interrupted
from app.worker.model_scheduler import (
    MAX_TURNS,
    CallerGone,
    ModelScheduler,
    SchedulerFull,
    while_wanted,
)


class HandClock:
    """A clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def busy(gate: ModelScheduler) -> Iterator[None]:
    """Within the block the model is in use, so turns queue up."""
    begun, released = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        released.wait()

    holding = gate.query(hold)
    begun.wait()
    try:
        yield
    finally:
        released.set()
        holding.result()


def test_a_query_overtakes_the_batches_that_wait() -> None:
    """Somebody who searches does not wait for an ingest's queue."""
    gate, order = ModelScheduler(), list[str]()
    with busy(gate):
        batches = [gate.ingest(lambda: order.append("batch")) for _ in range(3)]
        query = gate.query(lambda: order.append("query"))
    for turn in (*batches, query):
        turn.result(timeout=60)
    assert order == ["query", "batch", "batch", "batch"]
    gate.close()


def test_a_batch_that_waited_long_enough_goes_before_new_queries() -> None:
    """A stream of queries slows an ingest down but does not stop it."""
    gate, order = ModelScheduler(ingest_patience_s=0.05), list[str]()
    with busy(gate):
        batch = gate.ingest(lambda: order.append("batch"))
        time.sleep(0.1)
        queries = [gate.query(lambda: order.append("query")) for _ in range(3)]
    for turn in (batch, *queries):
        turn.result(timeout=60)
    assert order == ["batch", "query", "query", "query"]
    gate.close()


def test_batches_go_on_beside_an_endless_stream_of_queries() -> None:
    """However long the line of queries is, one batch goes each time the patience is over."""
    gate, batches = ModelScheduler(ingest_patience_s=0.05), list[Future[None]]()

    def ask_again() -> None:
        time.sleep(0.005)
        if not batches[-1].done():
            gate.query(ask_again)

    began = time.monotonic()
    with busy(gate):
        batches += [gate.ingest(lambda: None) for _ in range(3)]
        for _ in range(5):
            gate.query(ask_again)
    for batch in batches:
        batch.result(timeout=60)
    assert time.monotonic() - began > 0.15
    gate.close()


def test_an_ingest_pauses_between_batches_while_there_are_queries() -> None:
    """For each query of the last second as long as its last batch took; alone not at all."""
    clock, ran_at = HandClock(), list[float]()
    gate = ModelScheduler(clock=clock)
    for _ in range(2):  # the clock stands after each, so a pause would not end
        gate.ingest(lambda: clock.advance(0.1)).result(timeout=60)
    ended_at = clock.now
    for _ in range(2):
        gate.query(lambda: None).result(timeout=60)
    paused = gate.ingest(lambda: ran_at.append(clock.now))
    clock.advance(0.29)
    gate.query(lambda: None).result(timeout=60)
    assert not wait([paused], timeout=0.05).done
    clock.advance(0.02)
    paused.result(timeout=60)
    assert ran_at == [pytest.approx(ended_at + 0.31)]
    gate.close()


def test_a_pause_is_no_time_that_a_query_waits() -> None:
    """The model is free meanwhile."""
    clock = HandClock()
    gate = ModelScheduler(clock=clock)
    gate.ingest(lambda: clock.advance(0.2)).result(timeout=60)
    for _ in range(4):
        gate.query(lambda: None).result(timeout=60)
    paused = gate.ingest(lambda: None)
    gate.query(lambda: None).result(timeout=60)
    assert not paused.done()
    clock.advance(60)
    paused.result(timeout=60)
    gate.close()


def test_queries_pass_where_a_batch_lets_them() -> None:
    """Those that wait then, in order; one that comes meanwhile goes after the batch."""
    gate, order = ModelScheduler(), list[str]()
    begun, waiting = threading.Event(), threading.Event()

    def ask(name: str) -> None:
        order.append(name)
        if name == "first":
            gate.query(lambda: ask("asked meanwhile"))

    def batch() -> None:
        begun.set()
        waiting.wait(60)
        gate.let_queries_pass()
        order.append("batch")

    batch_done = gate.ingest(batch)
    begun.wait(60)
    queries = [gate.query(lambda name=name: ask(name)) for name in ("first", "second")]
    waiting.set()
    for turn in (batch_done, *queries):
        turn.result(timeout=60)
    gate.query(lambda: None).result(timeout=60)
    assert order == ["first", "second", "batch", "asked meanwhile"]
    gate.close()


def test_a_query_that_fails_does_not_harm_the_batch_it_interrupts() -> None:
    """Its error is its caller's."""
    gate = ModelScheduler()
    begun, waiting = threading.Event(), threading.Event()

    def batch() -> str:
        begun.set()
        waiting.wait(60)
        gate.let_queries_pass()
        return "whole"

    done = gate.ingest(batch)
    begun.wait(60)
    failing = gate.query(lambda: 1 // 0)
    waiting.set()
    assert done.result(timeout=60) == "whole"
    with pytest.raises(ZeroDivisionError):
        failing.result(timeout=60)
    gate.close()


def test_it_is_crowded_while_queries_come() -> None:
    """Batches are made short then; a second after the last query they need not be."""
    clock = HandClock()
    gate = ModelScheduler(clock=clock)
    assert not gate.crowded()
    gate.query(lambda: None).result(timeout=60)
    clock.advance(0.99)
    assert gate.crowded()
    clock.advance(0.02)
    assert not gate.crowded()
    gate.close()


def test_equal_turns_keep_their_order() -> None:
    """Queries are answered in the order they came."""
    gate, order = ModelScheduler(), list[int]()
    with busy(gate):
        turns = [gate.query(lambda number=number: order.append(number)) for number in range(20)]
    for turn in turns:
        turn.result(timeout=60)
    assert order == list(range(20))
    gate.close()


def test_every_call_runs_on_the_one_model_thread() -> None:
    """PyTorch keeps a pool of CPU threads for each thread that calls it."""
    gate = ModelScheduler()
    asked = [turn(threading.get_ident) for turn in (gate.query, gate.ingest) for _ in range(5)]
    assert len({turn.result(timeout=60) for turn in asked}) == 1
    gate.close()


def test_an_error_reaches_its_caller_and_nobody_else() -> None:
    """One failing batch must not take the model away from the next caller."""
    gate = ModelScheduler()
    failing = gate.ingest(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failing.result(timeout=60)
    assert gate.query(lambda: 42).result(timeout=60) == 42
    gate.close()


def test_the_line_in_front_of_the_model_has_an_end() -> None:
    """What cannot be done in time is refused, and those in line lose nothing by it."""
    gate, ran = ModelScheduler(), list[int]()
    with busy(gate):
        turns = [gate.query(lambda number=n: ran.append(number)) for n in range(MAX_TURNS)]
        with pytest.raises(SchedulerFull, match=f"{MAX_TURNS} calls wait"):
            gate.query(lambda: ran.append(-1))
    for turn in turns:
        turn.result(timeout=60)
    assert ran == list(range(MAX_TURNS))
    gate.close()


def test_a_cancelled_turn_is_passed_over() -> None:
    """A request that went away costs the model nothing."""
    gate, ran = ModelScheduler(), list[str]()
    with busy(gate):
        cancelled = gate.query(lambda: ran.append("cancelled"))
        kept = gate.query(lambda: ran.append("kept"))
        assert cancelled.cancel()
    kept.result(timeout=60)
    assert ran == ["kept"]
    gate.close()


def test_a_caller_who_has_gone_costs_the_model_nothing() -> None:
    """What is in line for one is told so in its turn; others, and ingests, are not concerned."""
    gate, ran, gone = ModelScheduler(), list[str](), threading.Event()
    with busy(gate):
        with while_wanted(lambda: not gone.is_set()):
            dropped = gate.query(lambda: ran.append("dropped"))
            batch = gate.ingest(lambda: ran.append("batch"))
        kept = gate.query(lambda: ran.append("kept"))
        gone.set()
    with pytest.raises(CallerGone):
        dropped.result(timeout=60)
    kept.result(timeout=60)
    batch.result(timeout=60)
    assert ran == ["kept", "batch"]
    gate.close()


def test_closing_lets_those_in_line_through() -> None:
    """Whoever waits for a turn is not left waiting for ever."""
    gate = ModelScheduler()
    with busy(gate):
        turns = [gate.query(lambda: 1), gate.ingest(lambda: 2)]
        gate.close()
    assert [turn.result(timeout=60) for turn in turns] == [1, 2]
    gate._thread.join(60)
    assert not gate._thread.is_alive()


@pytest.mark.parametrize("kind", ["query", "ingest"])
def test_a_turn_that_comes_after_the_end_fails_instead_of_waiting(kind: str) -> None:
    """A request in flight when the worker stops would keep its thread for ever."""
    gate = ModelScheduler()
    gate.close()
    with pytest.raises(Interrupted):
        getattr(gate, kind)(lambda: 1).result(timeout=60)
