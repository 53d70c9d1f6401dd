"""Waiter limits: how many requests may be kept waiting at once, of all callers and of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class WaiterLimit:
    """Counts waiting requests of one kind; each holds a connection for up to a minute or longer.

    at_once : of all callers; one caller may have half of them
    """

    at_once: int
    _of_caller: Counter[str] = field(default_factory=Counter)

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return self._of_caller.total()

    @contextmanager
    def enter(self, caller: str) -> Iterator[bool]:
        """Whether one more of the caller may wait; it counts as waiting within the block."""
        most = max(1, self.at_once // 2)
        may = self.waiting < self.at_once and self._of_caller[caller] < most
        self._of_caller[caller] += may
        try:
            yield may
        finally:
            self._of_caller[caller] -= may
            if not self._of_caller[caller]:
                del self._of_caller[caller]
