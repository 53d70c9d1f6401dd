"""Model match: whether the workers run the model that a collection was built with.

One fingerprint is one set of weights: another model has another one, and so has a checkpoint with
a single damaged byte. A video that such a worker ingested could only fail, so none is taken.
"""

from __future__ import annotations

from app.catalog import Catalog
from app.errors import ModelMismatch
from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerError


class ModelMatch:
    """Compares collections with the workers' models."""

    def __init__(self, catalog: Catalog, worker: WorkerClient) -> None:
        self._catalog = catalog
        self._worker = worker

    def check(self, collection: str) -> None:
        """Raise ModelMismatch if no worker can fill the collection; unknown while none answers.

        Raises CollectionNotFound.
        """
        built_with = self._catalog.get_collection(collection).fingerprint
        if built_with is None:
            return
        try:
            models = self._worker.models()
        except WorkerError:
            return
        if built_with not in {model.fingerprint for model in models}:
            running = ", ".join(f"{model.name} ({model.fingerprint})" for model in models)
            raise ModelMismatch(
                f"The collection {collection!r} was built with model {built_with}, but the worker "
                f"runs {running}. Nothing is taken in: start the worker with the collection's "
                "model, whose files may be damaged, or use a new collection."
            )
