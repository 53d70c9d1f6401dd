"""Job telemetry: how an ingest job ends and how long its stages take, as metrics, logs, traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry.trace import Span

from app.catalog import Catalog
from app.catalog.errors import NotFound
from app.catalog.records import Job
from app.clock import Clock
from app.telemetry import tracing
from app.telemetry.context import for_job
from app.telemetry.metrics import WorkerMetrics

FIRST_STAGE = "probe"
# A job that waits again or is another worker's by now has not ended, only this attempt at it.
_ENDED = frozenset({"succeeded", "failed", "canceled"})


@contextmanager
def observed(
    job: Job, catalog: Catalog, metrics: WorkerMetrics, clock: Clock
) -> Iterator[Callable[[str], None]]:
    """Measure one attempt at a job; yields what is to be called when a stage begins."""
    began = clock.monotonic()
    with for_job(job.id), tracing.working("ingest", job_id=job.id, video_id=job.video_id):
        stages = _Stages(metrics, clock)
        try:
            yield stages.enter
        finally:
            stages.end()
            outcome, video_s = _outcome(catalog, job.id)
            metrics.ingest_seconds.labels(outcome).observe(clock.monotonic() - began)
            metrics.video_seconds.inc(video_s)


class _Stages:
    def __init__(self, metrics: WorkerMetrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._begin(FIRST_STAGE)

    def enter(self, stage: str) -> None:
        if stage != self._name:
            self.end()
            self._begin(stage)

    def end(self) -> None:
        self._span.end()
        seconds = self._clock.monotonic() - self._since
        self._metrics.stage_seconds.labels(self._name).observe(seconds)

    def _begin(self, stage: str) -> None:
        self._name = stage
        self._since = self._clock.monotonic()
        self._span: Span = tracing.begin(stage)


def _outcome(catalog: Catalog, job_id: str) -> tuple[str, float]:
    """How the attempt ended, and the seconds of video that have become searchable by it."""
    try:
        job = catalog.get_job(job_id)
    except NotFound:
        return "deleted", 0.0
    if job.status not in _ENDED:
        return "given_back", 0.0
    return job.status, (job.seconds_total or 0.0) if job.status == "succeeded" else 0.0
