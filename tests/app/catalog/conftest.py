"""A fresh catalog for each test: on SQLite, and on PostgreSQL where the tests have a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.catalog import Catalog
from tests.app.catalog.samples import HandClock
from tests.app.databases import KINDS, new_database


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that does not exist yet, or is empty."""
    with new_database(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def catalog(url: str, clock: HandClock) -> Iterator[Catalog]:
    """A catalog with the collection `default`, whose time is moved by hand."""
    with Catalog.open(url, clock=clock) as catalog:
        catalog.create_collection("default", model="motion-tiny", window_s=5.0, stride_s=2.5)
        yield catalog
