"""For all tests: no deadline of property-based ones, one thread a process, services first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Several processes run tests and services at once: threads of each would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The machine may have other work.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

HERE = Path(__file__).parent
REAL_PROCESSES = ("web", "e2e", "faults", "security", "docs", "app/cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that start real services first: left to the end, one of them runs alone."""
    items.sort(key=lambda item: not _starts_services(item.path))


def _starts_services(path: Path) -> bool:
    return any(path.is_relative_to(HERE / folder) for folder in REAL_PROCESSES)
