"""Memoization: segments that show the same frames go through the model once.

In a slide show or a recording in which nothing moves, most windows do.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Result = TypeVar("Result")
Frames = NDArray[np.uint8]

# Kept of one video: slides between which a talk goes back and forth. A result takes tens of
# kilobytes, and its hash a hundredth of what the smallest model takes.
MOST_KEPT: Final = 64


class EncodeOnce(Generic[Result]):
    """The segments of one video on their way to the model; for one thread.

    submit : has one segment computed, uint8 [T, S, S, 3]
    """

    def __init__(self, submit: Callable[[Frames], Future[Result]]) -> None:
        self._submit = submit
        self._known: OrderedDict[bytes, Future[Result]] = OrderedDict()

    def submit(self, frames: Frames) -> Future[Result]:
        """The result for the segment, which may be that of an earlier one with the same frames."""
        digest = hashlib.blake2b(np.ascontiguousarray(frames).data, digest_size=32).digest()
        known = self._known.pop(digest, None)
        if known is None or _is_lost(known):
            known = self._submit(frames)
        self._known[digest] = known
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        return known


def _is_lost(future: Future[Result]) -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)
