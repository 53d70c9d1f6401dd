"""Dynamic batching: segments that wait for the model at the same time go through it together.

Letters: B segments, T frames of each, S edge of the model's square frames.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.worker.model_scheduler import ModelScheduler
from xclip.encoder import Encoder

Result = TypeVar("Result")
Frames = NDArray[np.uint8]

# What a batch may cost, in pixels of all frames of all its segments: four of base-patch32's. More
# gains nothing on a processor, and a query waits for the batch that runs.
PIXELS_AT_ONCE: Final = 4 * 8 * 224 * 224


def segments_at_once(encoder: Encoder) -> int:
    """How many segments of the model's size make a batch."""
    return max(1, PIXELS_AT_ONCE // (encoder.num_frames * encoder.geometry.crop**2))


class Batcher(Generic[Result]):
    """Takes segments from any thread and has them computed in batches.

    A batch is made when the model is free for one, of whatever waits then: nothing waits for
    company. What was cancelled meanwhile is left out. While queries come, a batch is one segment.
    A batch that fails is halved and tried again: so one segment that cannot be computed fails
    alone, and a batch that was too large for the memory is the last of its size.
    """

    def __init__(
        self, scheduler: ModelScheduler, compute: Callable[[Frames], Sequence[Result]], most: int
    ) -> None:
        """Batches of up to `most` segments, computed on the scheduler's thread.

        compute : uint8 [B, T, S, S, 3] to B results
        """
        self._scheduler = scheduler
        self._compute = compute
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Frames, Future[Result]]] = deque()
        self._is_announced = False

    def submit(self, frames: Frames) -> Future[Result]:
        """Have one segment computed, uint8 [T, S, S, 3]."""
        future: Future[Result] = Future()
        with self._lock:
            self._waiting.append((frames, future))
            self._announce()
        return future

    def _announce(self) -> None:
        """See to it that a turn at the scheduler comes, if one is needed; with the lock held."""
        if self._waiting and not self._is_announced:
            self._is_announced = True
            self._scheduler.ingest(self._turn)

    def _turn(self) -> None:
        most = 1 if self._scheduler.crowded() else self._most
        batch: list[tuple[Frames, Future[Result]]] = []
        with self._lock:
            while self._waiting and len(batch) < most:
                frames, future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    batch.append((frames, future))
            self._is_announced = False
            self._announce()
        if batch:
            self._run(batch)

    def _run(self, batch: list[tuple[Frames, Future[Result]]]) -> bool:
        """Compute a batch in as many attempts as it takes; whether all went well in the end."""
        try:
            results = self._compute(np.stack([frames for frames, _ in batch]))
        except Exception as error:  # noqa: BLE001  it belongs to one of the segments
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return False
        else:
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)
            return True
        # Not where the error is caught: it holds on to what the failed attempt had allocated.
        half = (len(batch) + 1) // 2
        went_well = [self._run(part) for part in (batch[:half], batch[half:])]
        if all(went_well):
            self._most = min(self._most, half)
        return all(went_well)
