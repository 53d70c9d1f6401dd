"""Catalog: every query and every change that the service sends to its database.

Each method is one transaction. What it returns is a value; when it has returned, the change has
reached the disk. All of it may be called from any thread and from several processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sqlalchemy import select, update

from app.catalog import database
from app.catalog.api_keys import Keys
from app.catalog.backlog import Backlogs
from app.catalog.calibration import CalibrationCatalog
from app.catalog.identity import LibraryIdentity
from app.catalog.library import LibraryCatalog
from app.catalog.maintenance import CatalogMaintenance
from app.catalog.queue import Queue
from app.catalog.sql import tables
from app.catalog.uploads import UploadCatalog
from app.clock import Clock, SystemClock


class Catalog(
    LibraryCatalog,
    UploadCatalog,
    Queue,
    CalibrationCatalog,
    Keys,
    CatalogMaintenance,
    Backlogs,
    LibraryIdentity,
):
    """The library and the queue over one database: a video and its job are one step."""

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Clock | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
        max_attempts: int = 3,
        max_lost: int = 20,
    ) -> Self:
        """Open the database at an SQLAlchemy URL, made or brought to the newest schema first.

        clock : times are read from it; leases and waits are read from the clock of a database
            server, so that the clocks of the machines need not agree
        max_attempts : how often a job is tried before it fails for good
        max_lost : the same for a job whose worker is lost each time, or whose decoder is killed
            from outside: more, since it is hardly ever the video that does it

        Raises SchemaUnknown for a database written by a newer version of the program.
        """
        engine = database.open_engine(url)
        try:
            database.migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, clock or SystemClock(), entropy, max_attempts, max_lost)

    def ping(self) -> None:
        """Ask the database for an answer; raises SQLAlchemyError when there is none."""
        with self._read() as connection:
            connection.execute(select(1))

    def check_writable(self) -> None:
        """Begin a write that changes nothing; raises SQLAlchemyError where none is possible.

        A transaction that only begins to write succeeds on a read-only file, too.
        """
        nothing = update(tables.secrets).where(tables.secrets.c.name == "").values(name="")
        with self._write() as connection:
            connection.execute(nothing)

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
