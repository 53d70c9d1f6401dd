"""Filter diagnostics: in how many videos the keys are that a filter names.

A misspelt key is no error, since metadata is free: the filter allows nothing, or with `ne` and
`not` all. Counting takes time with many videos: all are counted only where a filter allows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.catalog import Catalog
from app.catalog.filters import Condition, metadata_keys


def counted_keys(
    catalog: Catalog, collection: str, condition: Condition | None, eligible: int
) -> Mapping[str, int]:
    """The count of each metadata key in a filter that allows no segment; else keys in no video."""
    keys = metadata_keys(condition)
    if not keys or not eligible:
        return catalog.key_counts(collection, keys)
    present = catalog.key_counts(collection, keys, at_most=1)
    return {key: count for key, count in present.items() if not count}
