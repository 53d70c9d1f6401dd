"""Connection limit: which connections are open, which wait, and which are turned away."""

from __future__ import annotations

from typing import Protocol

from app.server.limits import MAX_LINGERING


class Connection(Protocol):
    """What the registry must be able to do to a connection."""

    def evict(self) -> None:
        """End at once; every request of this connection has been answered."""


class ConnectionRegistry:
    """The connections that wait for a request, longest first, and those that linger refused.

    A silent connection costs its client nothing, so one client could hold all connections open.
    At the limit the one that has waited longest is closed, and no request is lost by it.
    """

    def __init__(self) -> None:
        self._waiting: dict[Connection, None] = {}
        self._lingering: set[Connection] = set()

    def wait(self, connection: Connection) -> None:
        """The connection waits for a request."""
        self._waiting[connection] = None

    def leave(self, connection: Connection) -> None:
        """The connection has a request, or has gone."""
        self._waiting.pop(connection, None)
        self._lingering.discard(connection)

    def make_room(self) -> bool:
        """End the connection that has waited longest; False if all have something to do."""
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        self.leave(oldest)
        oldest.evict()
        return True

    def linger(self, connection: Connection) -> bool:
        """Whether a refused connection may stay for a moment to see why."""
        self.leave(connection)
        if len(self._lingering) >= MAX_LINGERING:
            return False
        self._lingering.add(connection)
        return True
