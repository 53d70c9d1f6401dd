"""Response times: how long a worker usually takes for a call, and which calls are overdue."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_NEWEST: Final = 0.2  # weight of the newest answer in what is usual
_TIMES_USUAL: Final = 4.0
FIRST_ANSWER_S: Final = 5.0  # the least time that a worker gets while others wait for work
_OVERDUE_S: Final = 0.5


class ResponseTimes:
    """What one worker took, by path, for calls of size 1; safe to share between threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._usual_s: defaultdict[str, float] = defaultdict(float)
        self._due: dict[object, float] = {}

    def first_answer_s(self, path: str, size: float) -> float:
        """How long an answer is waited for when another worker could give it."""
        return max(FIRST_ANSWER_S, _TIMES_USUAL * self._usual_s[path]) * size

    @property
    def is_overdue(self) -> bool:
        """Whether a call that is under way takes clearly longer than usual."""
        with self._lock:
            now = self._clock()
            return any(due < now for due in self._due.values())

    @contextmanager
    def measured(self, path: str, size: float | None) -> Iterator[None]:
        """Within the block the worker works at a call; how long it took counts on success.

        A call without a size is not measured, and never overdue.
        """
        if size is None:
            yield
            return
        began, key = self._clock(), object()
        with self._lock:
            due_s = max(_OVERDUE_S, _TIMES_USUAL * self._usual_s[path]) * size
            self._due[key] = began + due_s
        try:
            yield
            with self._lock:
                seconds = (self._clock() - began) / size
                usual = self._usual_s[path]
                self._usual_s[path] = usual + _NEWEST * (seconds - usual) if usual else seconds
        finally:
            with self._lock:
                del self._due[key]
