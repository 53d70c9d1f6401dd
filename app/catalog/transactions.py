"""Transactions: each call of the catalog is one; every part of the catalog builds on this."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, func, select

from app.catalog import database
from app.catalog.lease_watch import LeaseWatch
from app.clock import Clock, SystemClock
from app.ids import new_id


class Transactions:
    """An open database, the clock that times are read from, and fresh names."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        entropy: Callable[[int], bytes],
        max_attempts: int,
        max_lost: int,
    ) -> None:
        self._engine = engine
        self._reader = database.for_reading(engine)
        self._writer = database.for_writing(engine)
        self._clock = clock
        self._entropy = entropy
        self._max_attempts = max_attempts
        self._max_lost = max(max_attempts, max_lost)
        self._lease_watch = LeaseWatch(clock.monotonic)

    def _read(self) -> AbstractContextManager[Connection]:
        """A transaction that reads one state of the database, and waits for no writer."""
        return self._reader.begin()

    def _write(self) -> AbstractContextManager[Connection]:
        """A transaction that may write; it is on disk when the block ends without an error."""
        return self._writer.begin()

    def _now(self) -> datetime:
        return self._clock.now()

    def _in(self, seconds: float) -> datetime:
        return self._clock.now() + timedelta(seconds=seconds)

    def _shared_now(self, connection: Connection) -> datetime:
        """The time that all processes of this catalog agree on: what they tell each other is in it.

        A database server has a clock for all machines that it serves. SQLite serves the processes
        of one machine, whose clock it is.
        """
        if connection.dialect.name == "sqlite" or not isinstance(self._clock, SystemClock):
            return self._clock.now()  # the machine's, or the one that a test moves by hand
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return now

    def _new_id(self, prefix: str) -> str:
        return new_id(prefix, self._clock, self._entropy)
