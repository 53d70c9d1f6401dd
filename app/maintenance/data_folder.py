"""Data folder: opens the library that the settings name, without a service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from app.catalog import Catalog
from app.settings import Settings
from app.storage.composition import Storage, open_storage
from app.storage.errors import NoLibrary


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The parts of a library."""

    catalog: Catalog
    storage: Storage


def check_library(settings: Settings) -> None:
    """Raise NoLibrary unless there is one. Opening would make it: a misspelt folder must not."""
    if settings.database_url is None and (missing := settings.layout.missing_catalog()):
        raise NoLibrary(missing)


@contextmanager
def open_library(settings: Settings) -> Iterator[DataFolder]:
    """Open it, whether a service runs on it or not. Raises NoLibrary, CatalogError."""
    check_library(settings)
    storage = open_storage(
        settings.layout, writer_id="maintenance", min_free_bytes=settings.min_free_bytes
    )
    with closing(storage), Catalog.open(settings.catalog_url) as catalog:
        yield DataFolder(catalog, storage)
