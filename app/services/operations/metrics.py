"""Metrics collector: reads the gauges when Prometheus scrapes."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prometheus_client import generate_latest

from app.catalog import Catalog
from app.catalog.errors import DATABASE_ERRORS
from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerEndpoint, WorkerError
from app.services.operations.worker_metrics import join_worker_metrics
from app.services.vectors.port import VectorPort
from app.telemetry.metrics import Metrics
from index.protocol import TensorStore


class MetricsCollector:
    """Everything there is to measure, as Prometheus text. What cannot be read is left out."""

    def __init__(
        self,
        catalog: Catalog,
        vectors: VectorPort,
        worker: WorkerClient,
        tensors: TensorStore,
        data_dir: Path,
        metrics: Metrics,
    ) -> None:
        self._catalog = catalog
        self._vectors = vectors
        self._worker = worker
        self._tensors = tensors
        self._data_dir = data_dir
        self._metrics = metrics
        self._several = len(worker.endpoints) > 1
        self._worker_up = metrics.worker_up
        self._lock = threading.Lock()  # two scrapers must not see half of each other's figures

    def text(self) -> bytes:
        """The metrics of the API and of its workers; blocks, for about 2 s at most."""
        with ThreadPoolExecutor(len(self._worker.endpoints)) as pool:
            read = list(pool.map(_read_worker, self._worker.endpoints))
        names = [endpoint.name for endpoint in self._worker.endpoints]
        by_worker = dict(zip(names, read, strict=True))
        with self._lock:
            for name, text in by_worker.items():
                up = self._worker_up.labels(name) if self._several else self._worker_up
                up.set(text is not None)
            self._read_queue()
            self._read_index()
            self._read_disk()
            own = generate_latest(self._metrics.registry)
        answered = {name: text for name, text in by_worker.items() if text is not None}
        if self._several:
            return own + join_worker_metrics(answered)
        return own + b"".join(answered.values())

    def _read_queue(self) -> None:
        self._metrics.jobs.clear()
        try:
            backlog = self._catalog.backlog()
        except DATABASE_ERRORS:
            return
        self._metrics.jobs.labels("queued").set(backlog.queued)
        self._metrics.jobs.labels("running").set(backlog.running)
        self._metrics.queue_wait_seconds.set(backlog.wait_s)

    def _read_index(self) -> None:
        self._metrics.index_segments.clear()
        for name, segments in self._vectors.sizes().items():
            self._metrics.index_segments.labels(name).set(segments)

    def _read_disk(self) -> None:
        try:
            usage = shutil.disk_usage(self._data_dir)
            tensors = sum(map(self._tensors.disk_bytes, self._tensors.files()))
        except OSError:
            return
        self._metrics.disk_bytes.set(usage.total)
        self._metrics.disk_free_bytes.set(usage.free)
        self._metrics.tensor_bytes.set(tensors)


def _read_worker(endpoint: WorkerEndpoint) -> bytes | None:
    try:
        return endpoint.metrics()
    except WorkerError:
        return None
