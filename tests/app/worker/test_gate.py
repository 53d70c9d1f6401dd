"""The gate: one thread owns the model, queries overtake ingest, and ingest is never starved."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.worker.gate import MAX_TURNS, Gate, GateFull


@contextmanager
def busy(gate: Gate) -> Iterator[None]:
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
    gate, order = Gate(), list[str]()
    with busy(gate):
        batches = [gate.ingest(lambda: order.append("batch")) for _ in range(3)]
        query = gate.query(lambda: order.append("query"))
    for turn in (*batches, query):
        turn.result(timeout=5)
    assert order == ["query", "batch", "batch", "batch"]
    gate.close()


def test_a_batch_that_waited_long_enough_goes_before_new_queries() -> None:
    """A stream of queries slows an ingest down but does not stop it."""
    gate, order = Gate(ingest_patience_s=0.05), list[str]()
    with busy(gate):
        batch = gate.ingest(lambda: order.append("batch"))
        time.sleep(0.1)
        queries = [gate.query(lambda: order.append("query")) for _ in range(3)]
    for turn in (batch, *queries):
        turn.result(timeout=5)
    assert order == ["batch", "query", "query", "query"]
    gate.close()


def test_an_ingest_pauses_between_batches_while_there_are_queries() -> None:
    """For each query of the last second as long as its last batch took; alone not at all."""
    gate = Gate()
    began = time.monotonic()
    for _ in range(2):
        gate.ingest(lambda: time.sleep(0.1)).result(timeout=5)
    assert time.monotonic() - began < 0.35
    for _ in range(3):
        gate.query(lambda: None).result(timeout=5)
    began = time.monotonic()
    gate.ingest(lambda: None).result(timeout=5)
    assert time.monotonic() - began > 0.29
    gate.close()


def test_a_batch_goes_in_one_piece_unless_queries_come() -> None:
    """What runs is not interrupted, so it is short while somebody may have to wait for it."""
    gate = Gate()
    assert list(gate.pieces([1, 2, 3])) == [[1, 2, 3]]
    pieces = gate.pieces([1, 2, 3])
    gate.query(lambda: None).result(timeout=5)
    assert list(pieces) == [[1], [2], [3]]
    gate.close()


def test_equal_turns_keep_their_order() -> None:
    """Queries are answered in the order they came."""
    gate, order = Gate(), list[int]()
    with busy(gate):
        turns = [gate.query(lambda number=number: order.append(number)) for number in range(20)]
    for turn in turns:
        turn.result(timeout=5)
    assert order == list(range(20))
    gate.close()


def test_every_call_runs_on_the_one_model_thread() -> None:
    """PyTorch keeps a pool of CPU threads for each thread that calls it."""
    gate = Gate()
    asked = [turn(threading.get_ident) for turn in (gate.query, gate.ingest) for _ in range(5)]
    assert len({turn.result(timeout=5) for turn in asked}) == 1
    gate.close()


def test_an_error_reaches_its_caller_and_nobody_else() -> None:
    """One failing batch must not take the model away from the next caller."""
    gate = Gate()
    failing = gate.ingest(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failing.result(timeout=5)
    assert gate.query(lambda: 42).result(timeout=5) == 42
    gate.close()


def test_the_line_in_front_of_the_model_has_an_end() -> None:
    """What cannot be done in time is refused, and those in line lose nothing by it."""
    gate, ran = Gate(), list[int]()
    with busy(gate):
        turns = [gate.query(lambda number=n: ran.append(number)) for n in range(MAX_TURNS)]
        with pytest.raises(GateFull, match=f"{MAX_TURNS} calls wait"):
            gate.query(lambda: ran.append(-1))
    for turn in turns:
        turn.result(timeout=5)
    assert ran == list(range(MAX_TURNS))
    gate.close()


def test_a_cancelled_turn_is_passed_over() -> None:
    """A request that went away costs the model nothing."""
    gate, ran = Gate(), list[str]()
    with busy(gate):
        cancelled = gate.query(lambda: ran.append("cancelled"))
        kept = gate.query(lambda: ran.append("kept"))
        assert cancelled.cancel()
    kept.result(timeout=5)
    assert ran == ["kept"]
    gate.close()
