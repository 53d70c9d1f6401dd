"""A catalog of keys in a file, and the clock that it shares with what is tested."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.catalog import Catalog
from tests.app.catalog.samples import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the newest schema, which takes most of the time to make."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.sqlite"
    Catalog.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def catalog(tmp_path: Path, empty_catalog: Path, clock: HandClock) -> Iterator[Catalog]:
    copy = shutil.copy(empty_catalog, tmp_path)
    with Catalog.open(f"sqlite:///{copy}", clock=clock) as opened:
        yield opened
