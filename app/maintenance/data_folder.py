"""Data folder: opens the library that the settings name, without a service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from app.catalog import Catalog
from app.settings import Settings
from app.storage.composition import Storage, open_storage
from app.storage.library_identity import check_library, open_catalog


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The parts of a library."""

    catalog: Catalog
    storage: Storage


@contextmanager
def open_library(settings: Settings) -> Iterator[DataFolder]:
    """Open it, whether a service runs on it or not. Raises MaintenanceError, CatalogError."""
    check_library(settings)
    storage = open_storage(
        settings.layout, writer_id="maintenance", min_free_bytes=settings.min_free_bytes
    )
    with closing(storage), open_catalog(settings) as catalog:
        yield DataFolder(catalog, storage)
