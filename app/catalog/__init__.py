"""Catalog: the only source of truth, and the only package that speaks SQL."""

from app.catalog.catalog import Catalog

__all__ = ["Catalog"]
