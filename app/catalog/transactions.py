"""Transactions: each call of the catalog is one; every part of the catalog builds on this."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from app.catalog import database
from app.clock import Clock
from app.ids import new_id


class Transactions:
    """An open database, the one clock that times and leases are read from, and fresh names."""

    def __init__(
        self, engine: Engine, clock: Clock, entropy: Callable[[int], bytes], max_attempts: int
    ) -> None:
        self._engine = engine
        self._writer = database.for_writing(engine)
        self._clock = clock
        self._entropy = entropy
        self._max_attempts = max_attempts

    def _read(self) -> AbstractContextManager[Connection]:
        """A transaction that reads, and waits for no writer."""
        return self._engine.begin()

    def _write(self) -> AbstractContextManager[Connection]:
        """A transaction that may write; it is on disk when the block ends without an error."""
        return self._writer.begin()

    def _now(self) -> datetime:
        return self._clock.now()

    def _in(self, seconds: float) -> datetime:
        return self._clock.now() + timedelta(seconds=seconds)

    def _new_id(self, prefix: str) -> str:
        return new_id(prefix, self._clock, self._entropy)
