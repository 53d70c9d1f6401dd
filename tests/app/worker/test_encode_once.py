"""Segments that show the same frames share one result, as long as there is one."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from app.worker.encode_once import MOST_KEPT, EncodeOnce


class Model:
    """Notes what it is given, and answers when told."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self.answers: list[Future[int]] = []

    def submit(self, frames: NDArray[np.uint8]) -> Future[int]:
        self.given.append(int(frames.flat[0]))
        self.answers.append(Future())
        return self.answers[-1]


def segment(shade: int) -> NDArray[np.uint8]:
    return np.full((2, 4, 4, 3), shade, np.uint8)


def test_equal_segments_share_a_result_and_others_do_not() -> None:
    """While it is computed and after."""
    model = Model()
    once = EncodeOnce(model.submit)
    first, other, again = (once.submit(segment(shade)) for shade in (1, 2, 1))
    assert first is again is not other
    first.set_result(7)
    assert once.submit(segment(1)).result() == 7
    assert model.given == [1, 2]


def test_what_failed_or_was_cancelled_is_tried_again() -> None:
    """An error of one moment is not kept for the whole video."""
    model = Model()
    once = EncodeOnce(model.submit)
    once.submit(segment(1)).set_exception(RuntimeError())
    once.submit(segment(2)).cancel()
    for shade in (1, 2):
        once.submit(segment(shade))
    assert model.given == [1, 2, 1, 2]


def test_only_so_many_results_are_kept() -> None:
    """Those that were needed last."""
    model = Model()
    once = EncodeOnce(model.submit)
    for shade in range(MOST_KEPT + 1):
        once.submit(segment(shade))
        once.submit(segment(0))
    once.submit(segment(1))
    assert model.given == [*range(MOST_KEPT + 1), 1]
