"""Library identity in the catalog: the id that it shares with its data folder."""

from __future__ import annotations

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from app.catalog.sql import tables
from app.catalog.transactions import Transactions

_NAME = "library_id"
_IDS = tables.secrets  # made once, and every process must agree on it


class LibraryIdentity(Transactions):
    """What tells this catalog from another one, and from an older copy of itself."""

    def library_id(self) -> str | None:
        """The id, unless none has been set."""
        wanted = select(_IDS.c.value).where(_IDS.c.name == _NAME)
        with self._read() as connection:
            found = connection.execute(wanted).scalar()
        return None if found is None else bytes(found).decode("ascii")

    def set_library_id(self, library_id: str) -> str:
        """Set the id unless there is one; the id that the catalog has now."""
        value = library_id.encode("ascii")
        try:
            with self._write() as connection:
                connection.execute(insert(_IDS).values(name=_NAME, value=value))
        except IntegrityError:  # set before, or by another process just now
            return self.library_id() or library_id
        return library_id

    def latest_job_id(self) -> str | None:
        """The newest job's id: jobs are a log, from which none is deleted. None: there was none."""
        newest = select(tables.jobs.c.id).order_by(tables.jobs.c.id.desc()).limit(1)
        with self._read() as connection:
            return connection.execute(newest).scalar()

    def count_keys(self) -> tuple[int, int]:
        """How many API keys were ever made, and how many of them were revoked; none is deleted."""
        keys = tables.api_keys
        counts = select(func.count(), func.count(keys.c.revoked_at)).select_from(keys)
        with self._read() as connection:
            made, revoked = connection.execute(counts).one()
        return int(made), int(revoked)

    def has_job(self, job_id: str) -> bool:
        """Whether there is, or was, a job of this id."""
        wanted = select(tables.jobs.c.id).where(tables.jobs.c.id == job_id)
        with self._read() as connection:
            return connection.execute(wanted).first() is not None

    def some_contents(self, limit: int) -> list[str]:
        """The SHA-256 of up to `limit` videos, the newest first."""
        newest = select(tables.videos.c.sha256).order_by(tables.videos.c.id.desc()).limit(limit)
        with self._read() as connection:
            return list(connection.execute(newest).scalars())
