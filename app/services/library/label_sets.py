"""Label sets: named lists of labels and templates to classify with."""

from __future__ import annotations

from collections.abc import Sequence

from app.catalog import Catalog
from app.catalog.records import LabelSet, LabelSetListing, RecordPage
from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerError
from app.services.text_use import MAX_TEXTS, TextUse, require_different


class LabelSets:
    """What `/v1/label-sets` keeps; a classification reads a set by its name."""

    def __init__(self, catalog: Catalog, worker: WorkerClient) -> None:
        self._catalog = catalog
        self._worker = worker

    def page(self, cursor: str | None, limit: int) -> RecordPage[LabelSetListing]:
        """Label sets by name, without their labels. Raises InvalidCursor."""
        return self._catalog.list_label_sets(cursor, limit)

    def put(
        self, name: str, labels: Sequence[str], templates: Sequence[str]
    ) -> tuple[LabelSet, bool, TextUse | None]:
        """Create a set, or replace what it holds: the set, whether it is new, what was read of it.

        Raises InvalidRequest for two labels that the model cannot tell apart. Without a worker that
        answers, the set is kept unread (None): it is checked again by every classification.
        """
        use = None
        if len(labels) * max(1, len(templates)) <= MAX_TEXTS:
            try:
                read = self._worker.read_texts(labels, templates)
            except WorkerError:
                pass
            else:
                require_different(labels, read)
                use = TextUse.of(labels, read)
        return *self._catalog.put_label_set(name, labels, templates), use

    def get(self, name: str) -> LabelSet:
        """One set. Raises LabelSetNotFound."""
        return self._catalog.get_label_set(name)

    def delete(self, name: str) -> None:
        """Delete a set. Raises LabelSetNotFound."""
        self._catalog.delete_label_set(name)
