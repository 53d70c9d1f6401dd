"""Answer progress: whether a client reads its answer, and fast enough."""

from __future__ import annotations

from dataclasses import dataclass

from app.server.limits import ConnectionLimits


@dataclass(slots=True)
class AnswerProgress:
    """How a client reads an answer that waits for it, in bytes taken and seconds of the loop.

    taken, at : when it last took any
    period_taken, period_at : when the measured period began
    """

    taken: int
    at: float
    period_taken: int
    period_at: float

    def goes_on(self, taken: int, now: float, limits: ConnectionLimits) -> bool:
        """Whether the client reads, and fast enough."""
        if taken > self.taken:
            self.taken, self.at = taken, now
        if now - self.at >= limits.answer_timeout_s:
            return False
        if now - self.period_at < limits.answer_timeout_s:
            return True
        least = limits.answer_bytes_per_s * (now - self.period_at)
        was_enough = taken - self.period_taken >= least
        self.period_taken, self.period_at = taken, now
        return was_enough
