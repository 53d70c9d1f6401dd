"""Calibration results kept with a collection, and the secrets that all processes share."""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from app.catalog.sql import collections, tables
from app.catalog.transactions import Transactions

SECRET_BYTES = 32


class CalibrationCatalog(Transactions):
    """Figures of a collection. Methods that name a collection raise CollectionNotFound."""

    def set_calibration(self, name: str, calibration: str | None) -> None:
        """Use this confidence model, whose file is on disk; None is the one of the model."""
        self._set(name, calibration=calibration)

    def set_recall_candidates(self, name: str, count: int | None) -> None:
        """Recall so many candidates for the collection; None: what the setting says."""
        self._set(name, recall_candidates=count)

    def secret(self, name: str) -> bytes:
        """Random bytes under this name, made at the first call."""
        of_name = select(tables.secrets.c.value).where(tables.secrets.c.name == name)
        with self._read() as connection:
            found = connection.execute(of_name).scalar()
        if found is not None:
            return bytes(found)
        fresh = self._entropy(SECRET_BYTES)
        try:
            with self._write() as connection:
                connection.execute(insert(tables.secrets).values(name=name, value=fresh))
        except IntegrityError:  # another process was first
            return self.secret(name)
        return fresh

    def _set(self, name: str, **values: str | int | None) -> None:
        with self._write() as connection:
            collections.get(connection, name, lock=True)
            statement = update(tables.collections).where(tables.collections.c.name == name)
            connection.execute(statement.values(**values))
