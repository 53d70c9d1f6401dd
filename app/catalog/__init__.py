"""The catalog: the one place where truth is kept, and the only SQL."""

from app.catalog.catalog import Catalog

__all__ = ["Catalog"]
