"""Metrics: every Prometheus metric of the API and the worker, by name.

The names are a promise to dashboards; docs/operations.md lists them.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

# A search takes milliseconds; an upload or a clip may take a minute.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# A clip of seconds, a film of hours.
_JOB_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 150, 300, 600, 1800, 3600)


class Metrics:
    """The API's Prometheus metrics in a registry of their own.

    The gauges of `app.services.operations.metrics` are read at each scrape, the others
    count as it happens.
    """

    def __init__(self, *, several_workers: bool = False) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(namespace="xclip_api", registry=registry)
        self.worker_up = Gauge(
            "xclip_worker_up",
            "1 if the worker answers the API, else 0.",
            ["worker"] if several_workers else [],
            registry=registry,
        )
        self.requests = Counter(
            "xclip_http_requests",
            "HTTP requests by method, route template and status.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "xclip_http_request_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ["method", "route"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.limiter_requests = Gauge(
            "xclip_lane_requests",
            "Requests of a costly class now, running or waiting for their turn.",
            ["lane", "state"],
            registry=registry,
        )
        self.upload_bytes = Counter(
            "xclip_upload_bytes", "Bytes of video files accepted.", registry=registry
        )
        self.search_seconds = Histogram(
            "xclip_search_seconds",
            "Seconds of each stage of a search.",
            ["stage"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.damaged_segments = Counter(
            "xclip_damaged_segments",
            "Stored segments that could not be read to be scored.",
            registry=registry,
        )
        self._add_figures(registry)

    def _add_figures(self, registry: CollectorRegistry) -> None:
        self.jobs = Gauge("xclip_jobs", "Ingest jobs now.", ["status"], registry=registry)
        self.queue_wait_seconds = Gauge(
            "xclip_queue_wait_seconds",
            "Estimated seconds that a video uploaded now would wait for its ingest.",
            registry=registry,
        )
        self.index_segments = Gauge(
            "xclip_index_segments",
            "Segments whose vectors the API holds in memory, as of the last search.",
            ["collection"],
            registry=registry,
        )
        self.tensor_bytes = Gauge(
            "xclip_tensor_bytes", "Disk space of the stored tensors.", registry=registry
        )
        self.disk_free_bytes = Gauge(
            "xclip_disk_free_bytes", "Free space where the data folder is.", registry=registry
        )
        self.disk_bytes = Gauge(
            "xclip_disk_bytes", "All the space where the data folder is.", registry=registry
        )

    def watch_limiter(
        self, name: str, working: Callable[[], int], waiting: Callable[[], int]
    ) -> None:
        """Show how many requests of a class are working and waiting."""
        self.limiter_requests.labels(name, "working").set_function(working)
        self.limiter_requests.labels(name, "waiting").set_function(waiting)


class WorkerMetrics:
    """The worker's Prometheus metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(namespace="xclip_worker", registry=registry)
        self.calls = Counter(
            "xclip_worker_calls",
            "Calls of the API to the worker by path and status.",
            ["call", "status"],
            registry=registry,
        )
        self.call_seconds = Histogram(
            "xclip_worker_call_seconds",
            "Seconds of a call to the worker, with the wait for the model.",
            ["call"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.model_calls_waiting = Gauge(
            "xclip_model_calls_waiting", "Calls waiting for the model now.", registry=registry
        )
        self.model = Gauge(
            "xclip_model_info",
            "1, labelled with what the model is.",
            ["name", "fingerprint", "device", "dtype"],
            registry=registry,
        )
        self.ingest_seconds = Histogram(
            "xclip_ingest_seconds",
            "Seconds of an attempt to ingest a video, by how it ended.",
            ["outcome"],
            buckets=_JOB_BUCKETS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "xclip_ingest_stage_seconds",
            "Seconds of each stage of an ingest.",
            ["stage"],
            buckets=_JOB_BUCKETS,
            registry=registry,
        )
        self.video_seconds = Counter(
            "xclip_ingested_video_seconds",
            "Seconds of video that have become searchable.",
            registry=registry,
        )
