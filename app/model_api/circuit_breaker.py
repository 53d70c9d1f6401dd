"""Circuit breaker: whether calls avoid a worker that has failed, and for how long.

After a failure calls go to other workers for `FIRST_PAUSE_S`. Then one call, or the check of a
readiness probe, tries the worker again. While that fails too, each pause is twice as long as the
one before, up to `LONGEST_PAUSE_S`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 60.0


class CircuitBreaker:
    """The state of one worker; safe to share between threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pause_s = 0.0  # zero: it has answered since the last failure
        self._ends_at = 0.0
        self._tried_until = float("-inf")
        self._model_failed = False

    @property
    def is_open(self) -> bool:
        """Whether calls should go to another worker: it has failed, or is being tried again."""
        with self._lock:
            return bool(self._pause_s) and self._clock() < max(self._ends_at, self._tried_until)

    def try_again(self) -> bool:
        """Whether the call that begins now tries a worker again; it is the only one for a while."""
        with self._lock:
            now = self._clock()
            if not self._pause_s or now < max(self._ends_at, self._tried_until):
                return False
            self._tried_until = now + self._pause_s
            return True

    def succeeded(self, *, ran_model: bool) -> None:
        """The worker has answered. If its model had failed, only an answer of the model counts."""
        with self._lock:
            if ran_model or not self._model_failed:
                self._pause_s = 0.0
                self._model_failed = False

    def failed(self, *, model_failed: bool) -> None:
        """The worker has not answered, or not as a worker of this service does.

        model_failed : the process may answer all the same, but its model did not
        """
        with self._lock:
            now = self._clock()
            if not self._pause_s:
                self._pause_s = FIRST_PAUSE_S
            elif now >= self._ends_at:  # else a call that began before the failure was known
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._ends_at = now + self._pause_s
            self._tried_until = float("-inf")
            self._model_failed = self._model_failed or model_failed
