"""Connection limits: bytes and seconds of one connection, and how many connections there may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from app.settings import Settings

MAX_HEAD_BYTES: Final = 64 << 10
MAX_HEAD_LINES: Final = 100
MAX_PIPELINED: Final = 16
# A client that is refused while it still sends is read for a moment, so that it sees the answer:
# closing at once would reset the connection under it.
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 16 << 20
MAX_LINGERING: Final = 64
# Beyond the limits of connections a few are still taken, for health checks only.
PROBE_CONNECTIONS: Final = 16
PROBE_PATHS: Final = frozenset({b"/livez", b"/readyz"})
# How often in its time limit a client that reads slowly is looked at.
ANSWER_LOOKS: Final = 16


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits that are settings; `app.settings` describes them."""

    head_timeout_s: float
    body_timeout_s: float
    body_bytes_per_s: int
    answer_timeout_s: float
    answer_bytes_per_s: int
    max_connections: int
    max_connections_per_address: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The part of the settings that a connection knows."""
        return cls(
            head_timeout_s=settings.head_timeout_s,
            body_timeout_s=settings.body_timeout_s,
            body_bytes_per_s=settings.body_bytes_per_s,
            answer_timeout_s=settings.answer_timeout_s,
            answer_bytes_per_s=settings.answer_bytes_per_s,
            max_connections=settings.max_connections,
            max_connections_per_address=settings.max_connections_per_address,
        )
