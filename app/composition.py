"""Composition of the API: opens the catalog, storage and vectors, and wires the services."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from app.catalog import Catalog
from app.catalog.errors import DATABASE_ERRORS
from app.catalog.uploads import ANSWER_KEPT_S
from app.clock import Clock, SettledClock
from app.fetch.rules import UrlRules
from app.model_api.client import WorkerClient
from app.model_api.secret import SECRET
from app.services.classify.classify import Classify
from app.services.ingest.incoming_files import IncomingFiles
from app.services.ingest.ingest import Ingest
from app.services.ingest.job_watcher import JobWatcher
from app.services.ingest.model_match import ModelMatch
from app.services.ingest.quotas import Quotas
from app.services.ingest.resumable_uploads import (
    ResumableUploads,
    expire_uploads,
    remove_unneeded_bytes,
)
from app.services.ingest.url_fetch import UrlFetcher
from app.services.library.clip_export import ClipExport
from app.services.library.label_sets import LabelSets
from app.services.library.library import LibraryService
from app.services.library.segmentation import SegmentationDefaults
from app.services.operations.metrics import MetricsCollector
from app.services.operations.model_status import ModelStatus
from app.services.operations.periodic_tasks import PeriodicTask
from app.services.operations.readiness import Readiness
from app.services.operations.stalled_queue import StalledQueueWarning
from app.services.search.search import Search
from app.services.search.text_embeddings import Embeddings
from app.services.vectors.damage import Damage
from app.services.vectors.factory import open_vectors
from app.services.vectors.port import VectorPort
from app.settings import Settings
from app.storage.composition import Storage, open_storage
from app.storage.deletion import DeletionRunner
from app.storage.errors import MaintenanceError
from app.storage.library_identity import note_progress, open_catalog
from app.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Services:
    """The services of the API, made once at the start.

    A route gets single fields of it, by the dependencies of `app.routes.dependencies`.
    """

    classify: Classify
    clip_export: ClipExport
    clock: Clock
    embeddings: Embeddings
    incoming_files: IncomingFiles
    ingest: Ingest
    job_watcher: JobWatcher
    label_sets: LabelSets
    library: LibraryService
    metrics: MetricsCollector
    model_match: ModelMatch
    model_status: ModelStatus
    quotas: Quotas
    readiness: Readiness
    search: Search
    uploads: ResumableUploads
    url_fetcher: UrlFetcher


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that is opened at the start, below the services."""

    catalog: Catalog
    storage: Storage
    worker: WorkerClient
    vectors: VectorPort
    deletion: DeletionRunner
    settled_clock: SettledClock

    def close(self) -> None:
        """Close what was opened, the catalog last, once the folder knows how far it came."""
        with suppress(MaintenanceError, OSError, *DATABASE_ERRORS):  # noted at the next start
            note_progress(self.catalog, self.storage.layout)
        self.worker.close()
        self.vectors.close()
        self.storage.close()
        self.catalog.close()


def open_service(
    settings: Settings,
    worker: WorkerClient | None,
    clock: Clock,
    metrics: Metrics,
    stopping: threading.Event,
) -> tuple[Parts, Services]:
    """Open what is on disk and bring the vectors up to date; blocks for as long as that takes."""
    parts = _open_parts(settings, worker, clock)
    services = _wire_services(parts, settings, clock, metrics, stopping)
    services.library.ensure_default()
    parts.vectors.prepare()
    return parts, services


def _open_parts(settings: Settings, worker: WorkerClient | None, clock: Clock) -> Parts:
    storage = open_storage(settings.layout, writer_id="api", min_free_bytes=settings.min_free_bytes)
    catalog = open_catalog(settings, clock=clock)
    worker = worker or WorkerClient(*settings.worker_base_urls, secret=catalog.secret(SECRET))
    vectors = open_vectors(catalog, threads=settings.threads, exact_up_to=settings.exact_up_to)
    return Parts(
        catalog, storage, worker, vectors, DeletionRunner(catalog, storage), SettledClock(clock)
    )


def _wire_services(
    parts: Parts, settings: Settings, clock: Clock, metrics: Metrics, stopping: threading.Event
) -> Services:
    catalog, media, worker = parts.catalog, parts.storage.media, parts.worker
    damage = Damage(catalog, metrics.damaged_segments)
    segmentation = SegmentationDefaults(settings.window_s, settings.stride_s)
    ingest = Ingest(catalog, media, metrics.upload_bytes)
    quotas = Quotas(catalog, settings)
    return Services(
        classify=Classify(
            catalog,
            worker,
            damage,
            segmentation=segmentation,
            decode_timeout_s=settings.decode_timeout_s,
        ),
        clip_export=ClipExport(media, worker),
        clock=clock,
        embeddings=Embeddings(worker),
        incoming_files=IncomingFiles(media, max_bytes=settings.max_upload_bytes),
        ingest=ingest,
        job_watcher=JobWatcher(catalog, stopping),
        label_sets=LabelSets(catalog, worker),
        library=LibraryService(
            catalog,
            media,
            parts.deletion,
            parts.vectors,
            model=settings.model,
            segmentation=segmentation,
        ),
        metrics=MetricsCollector(
            catalog, parts.vectors, worker, parts.storage.tensors, settings.data_dir, metrics
        ),
        model_match=ModelMatch(catalog, worker),
        quotas=quotas,
        model_status=ModelStatus(catalog, worker),
        readiness=Readiness(catalog, worker, settings.data_dir, settings.min_free_bytes),
        search=Search(
            catalog,
            parts.vectors,
            worker,
            clock,
            damage,
            metrics.search_seconds,
            recall_candidates=settings.recall_candidates,
            decode_timeout_s=settings.decode_timeout_s,
        ),
        uploads=ResumableUploads(
            catalog,
            media,
            parts.storage.partial_uploads,
            ingest,
            quotas,
            parts.settled_clock,
            max_bytes=settings.max_upload_bytes,
        ),
        url_fetcher=UrlFetcher(
            media,
            UrlRules.parse(settings.url_ingest),
            max_bytes=settings.max_upload_bytes,
            timeout_s=settings.url_timeout_s,
        ),
    )


def periodic_tasks(parts: Parts, services: Services) -> Sequence[PeriodicTask]:
    """The work that the API repeats at intervals, in this order, first at start-up."""

    partials = parts.storage.partial_uploads
    stalled = StalledQueueWarning(parts.catalog, services.clock)

    def expire() -> None:
        now = parts.settled_clock.look()
        if now is not None:
            expire_uploads(parts.catalog, partials, now)
            kept = timedelta(seconds=ANSWER_KEPT_S)
            parts.catalog.expire_idempotent_answers(now - kept)

    def remove_bytes() -> None:
        remove_unneeded_bytes(parts.catalog, partials)

    def note() -> None:
        note_progress(parts.catalog, parts.storage.layout)

    return (
        PeriodicTask("note in the data folder how far the catalog is", note),
        PeriodicTask("remove temporary files of ended processes", parts.storage.media.sweep),
        PeriodicTask("keep room for deletions", parts.storage.media.reserve.fill),
        PeriodicTask("finish completely received uploads", services.uploads.finish_received),
        PeriodicTask("remove expired uploads and idempotent answers", expire),
        PeriodicTask("remove bytes that no upload needs", remove_bytes),
        PeriodicTask("remove deleted files from the disk", parts.deletion.work_off),
        PeriodicTask("warn of videos that no worker ingests", stalled.look),
    )
