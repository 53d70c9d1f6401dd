"""Connection limit: which connections are open, which wait, and which are turned away."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from app.server.limits import MAX_LINGERING, PROBE_CONNECTIONS


class Connection(Protocol):
    """What the registry must be able to do to a connection."""

    def evict(self) -> None:
        """End at once; every request of this connection has been answered."""


class ConnectionRegistry:
    """The connections by address, those that wait for a request, and those that linger refused.

    A silent connection costs its client nothing, so one client could hold all connections open.
    At a limit the one that has waited longest is closed, and no request is lost by it. Where all
    have something to do, a few more may be opened to ask whether the service lives.
    """

    def __init__(self) -> None:
        self._addresses: dict[Connection, str] = {}
        self._of_address: Counter[str] = Counter()
        self._waiting: dict[Connection, None] = {}
        self._probing: dict[Connection, None] = {}
        self._lingering: set[Connection] = set()

    def open(self, connection: Connection, address: str) -> int:
        """Count a new connection; how many its address has now."""
        self._addresses[connection] = address
        self._of_address[address] += 1
        return self._of_address[address]

    def close(self, connection: Connection) -> None:
        """The connection has gone, or serves nothing any more."""
        self.leave(connection)
        self._probing.pop(connection, None)
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def wait(self, connection: Connection) -> None:
        """The connection waits for a request."""
        self._waiting[connection] = None

    def leave(self, connection: Connection) -> None:
        """The connection has a request, or has gone."""
        self._waiting.pop(connection, None)
        self._lingering.discard(connection)

    def make_room(self, address: str | None = None) -> bool:
        """End the connection that has waited longest, of all or of one address; False if none."""
        waiting = (
            each
            for each in self._waiting
            if each not in self._probing and address in (None, self._addresses.get(each))
        )
        return self._evict(next(waiting, None))

    def admit_probe(self, connection: Connection) -> bool:
        """Whether a connection too many may ask whether the service lives."""
        if len(self._probing) >= PROBE_CONNECTIONS:
            silent = (each for each in self._probing if each in self._waiting)
            if not self._evict(next(silent, None)):
                return False
        self._probing[connection] = None
        return True

    def linger(self, connection: Connection) -> bool:
        """Whether a refused connection may stay for a moment to see why."""
        self.close(connection)
        if len(self._lingering) >= MAX_LINGERING:
            return False
        self._lingering.add(connection)
        return True

    def _evict(self, connection: Connection | None) -> bool:
        if connection is None:
            return False
        self.close(connection)
        connection.evict()
        return True
