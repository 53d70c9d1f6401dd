"""A fresh catalog for each test: on SQLite, and on PostgreSQL when XCLIP_TEST_POSTGRESQL names one.

The variable holds the URL of a server's database, such as `postgresql://user@host/postgres`; every
test makes and drops a database of its own beside it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from app.catalog import Catalog
from tests.app.catalog.samples import HandClock

SERVER = os.environ.get("XCLIP_TEST_POSTGRESQL")


@pytest.fixture(params=["sqlite", *(["postgresql"] if SERVER else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that does not exist yet, or is empty."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalog.db'}"
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


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def catalog(url: str, clock: HandClock) -> Iterator[Catalog]:
    """A catalog with the collection `default`, whose time is moved by hand."""
    with Catalog.open(url, clock=clock) as catalog:
        catalog.create_collection("default", model="motion-tiny", window_s=5.0, stride_s=2.5)
        yield catalog
