"""Databases for tests: a new one on SQLite, or on the server that XCLIP_TEST_POSTGRESQL names.

The variable holds the URL of a server's database, such as `postgresql+psycopg://user@host/postgres`;
every test makes and drops a database of its own beside it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

SERVER = os.environ.get("XCLIP_TEST_POSTGRESQL")
KINDS = ["sqlite", *(["postgresql"] if SERVER else [])]


@contextmanager
def new_database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a database that does not exist yet, or is empty."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'catalog.db'}"
        return
    assert SERVER is not None
    server = create_engine(SERVER, isolation_level="AUTOCOMMIT")
    name = f"xclip_test_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(SERVER).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()
