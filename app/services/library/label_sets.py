"""Label sets: named lists of labels and templates to classify with."""

from __future__ import annotations

from collections.abc import Sequence

from app.catalog import Catalog
from app.catalog.records import LabelSet, LabelSetListing, RecordPage


class LabelSets:
    """What `/v1/label-sets` keeps; a classification reads a set by its name."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def page(self, cursor: str | None, limit: int) -> RecordPage[LabelSetListing]:
        """Label sets by name, without their labels. Raises InvalidCursor."""
        return self._catalog.list_label_sets(cursor, limit)

    def put(
        self, name: str, labels: Sequence[str], templates: Sequence[str]
    ) -> tuple[LabelSet, bool]:
        """Create a set, or replace what it holds; True when it is new."""
        return self._catalog.put_label_set(name, labels, templates)

    def get(self, name: str) -> LabelSet:
        """One set. Raises LabelSetNotFound."""
        return self._catalog.get_label_set(name)

    def delete(self, name: str) -> None:
        """Delete a set. Raises LabelSetNotFound."""
        self._catalog.delete_label_set(name)
