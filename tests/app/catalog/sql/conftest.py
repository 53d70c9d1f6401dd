"""One connection to a database with the newest schema, rolled back after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from app.catalog import database


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """A transaction that may write, and that leaves nothing behind."""
    engine = database.open_engine(url)
    database.migrate(engine)
    with database.for_writing(engine).connect() as opened, opened.begin() as transaction:
        yield opened
        transaction.rollback()
    engine.dispose()
