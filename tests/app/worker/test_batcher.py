"""The batcher: together what waits together, and no segment pays for another one's failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from app.worker.batcher import Batcher, Frames, segments_at_once
from app.worker.model_scheduler import ModelScheduler
from benchmarks.random_model import random_encoder
from xclip.encoder import Encoder

POISON = 66


class Model:
    """Answers with each segment's first number; remembers the batches it was given."""

    def __init__(self, memory: int = 100) -> None:
        self.batches: list[list[int]] = []
        self._memory = memory

    def __call__(self, frames: Frames) -> Sequence[int]:
        batch = [int(number) for number in frames.reshape(len(frames), -1)[:, 0]]
        self.batches.append(batch)
        if POISON in batch:
            raise ValueError("poison")
        if len(batch) > self._memory:
            raise RuntimeError("out of memory")
        return batch


@pytest.fixture
def gate() -> Iterator[ModelScheduler]:
    gate = ModelScheduler()
    yield gate
    gate.close()


@contextmanager
def busy(gate: ModelScheduler) -> Iterator[None]:
    """Within the block the model is in use by an ingest, so segments queue up."""
    released = threading.Event()
    holding = gate.ingest(released.wait)
    try:
        yield
    finally:
        released.set()
        holding.result(60)


def segment(number: int) -> NDArray[np.uint8]:
    return np.full((2, 3, 3, 3), number, np.uint8)


def submit_all(batcher: Batcher[int], numbers: Sequence[int]) -> list[Future[int]]:
    return [batcher.submit(segment(number)) for number in numbers]


def results(futures: Sequence[Future[int]]) -> list[int]:
    return [future.result(60) for future in futures]


def test_what_waits_together_goes_together(gate: ModelScheduler) -> None:
    """In the order it came, as much as a batch may cost, whoever sent it."""
    model = Model()
    batcher = Batcher(gate, model, most=4)
    with busy(gate):
        futures = submit_all(batcher, range(10))
    assert results(futures) == list(range(10))
    assert model.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_one_segment_does_not_wait_for_company(gate: ModelScheduler) -> None:
    """The model is free, so it begins."""
    model = Model()
    assert results(submit_all(Batcher(gate, model, most=100), [7])) == [7]
    assert model.batches == [[7]]


def test_while_queries_come_a_batch_is_one_segment(gate: ModelScheduler) -> None:
    """A query waits for the batch that runs."""
    model = Model()
    batcher = Batcher(gate, model, most=4)
    with busy(gate):
        futures = submit_all(batcher, range(3))
        query = gate.query(lambda: 42)
    assert query.result(60) == 42
    assert results(futures) == [0, 1, 2]
    assert model.batches == [[0], [1], [2]]


def test_a_cancelled_segment_is_left_out(gate: ModelScheduler) -> None:
    """Its job has ended: the model has better to do."""
    model = Model()
    batcher = Batcher(gate, model, most=4)
    with busy(gate):
        futures = submit_all(batcher, range(6))
        for future in futures[:5]:
            assert future.cancel()
    assert futures[5].result(60) == 5
    assert model.batches == [[5]]


def test_a_segment_that_cannot_be_computed_fails_alone(gate: ModelScheduler) -> None:
    """Its neighbours, perhaps of other videos, are computed as if it had not been there."""
    model = Model()
    batcher = Batcher(gate, model, most=8)
    with busy(gate):
        futures = submit_all(batcher, [0, 1, 2, 3, POISON, 5, 6, 7])
    with pytest.raises(ValueError, match="poison"):
        futures.pop(4).result(60)
    assert results(futures) == [0, 1, 2, 3, 5, 6, 7]
    with busy(gate):
        more = submit_all(batcher, range(8))
    assert results(more) == list(range(8))
    assert model.batches[-1] == list(range(8))  # the size was not to blame


def test_a_batch_that_needs_too_much_memory_is_halved_and_is_the_last_of_its_size(
    gate: ModelScheduler,
) -> None:
    """Nothing is lost, and the next ones do not run into it again."""
    model = Model(memory=2)
    batcher = Batcher(gate, model, most=8)
    with busy(gate):
        futures = submit_all(batcher, range(20))
    assert results(futures) == list(range(20))
    assert [len(batch) for batch in model.batches] == [8, 4, 2, 2, 4, 2, 2, *[2] * 6]


def test_a_failed_attempts_memory_is_free_before_the_next_one(gate: ModelScheduler) -> None:
    """What the error holds on to would be missing where memory is short."""
    alive: list[int] = []
    living = 0

    class Allocation:
        def __init__(self) -> None:
            nonlocal living
            living += 1

        def __del__(self) -> None:
            nonlocal living
            living -= 1

    def compute(frames: Frames) -> Sequence[int]:
        alive.append(living)
        held = Allocation()
        if len(frames) > 1:
            raise RuntimeError(f"out of memory beside {held}")
        return [0]

    batcher = Batcher(gate, compute, most=4)
    with busy(gate):
        futures = submit_all(batcher, range(4))
    assert results(futures) == [0] * 4
    assert alive == [0] * len(alive)


@pytest.mark.parametrize("threads", [2, 6])
def test_many_threads_share_it(gate: ModelScheduler, threads: int) -> None:
    """Everyone gets the answer to what they sent."""
    batcher = Batcher(gate, Model(), most=3)
    wrong: list[int] = []

    def work(first: int) -> None:
        numbers = [number % 60 for number in range(first, first + 30)]
        wrong.extend(n for n in numbers if batcher.submit(segment(n)).result(60) != n)

    at_work = [threading.Thread(target=work, args=(n * 7,)) for n in range(threads)]
    for thread in at_work:
        thread.start()
    for thread in at_work:
        thread.join()
    assert not wrong


def test_a_batch_is_measured_by_what_it_costs(encoder: Encoder) -> None:
    """Pixels of all frames: four segments of base-patch32, many of a small model, never none."""

    class Large:
        num_frames = 32
        geometry = type("Geometry", (), {"crop": 336})

    assert segments_at_once(random_encoder(32)) == 4
    assert segments_at_once(encoder) == 4 * 8 * 224 * 224 // (4 * 32 * 32)
    assert segments_at_once(Large()) == 1  # type: ignore[arg-type]
