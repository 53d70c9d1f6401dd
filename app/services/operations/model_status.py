"""Model status: which model answers, and how much work waits for it."""

from __future__ import annotations

from app.catalog import Catalog
from app.catalog.backlog import Backlog
from app.model_api.client import WorkerClient
from app.model_api.messages import ModelFacts


class ModelStatus:
    """What `/v1/models` tells."""

    def __init__(self, catalog: Catalog, worker: WorkerClient) -> None:
        self._catalog = catalog
        self._worker = worker

    def models(self) -> list[ModelFacts]:
        """The workers' models, each once. Raises WorkerUnavailable, WorkerFailed."""
        return self._worker.models()

    def backlog(self) -> Backlog:
        """The jobs that are queued and running."""
        return self._catalog.backlog()
