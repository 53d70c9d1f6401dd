"""Composition of the worker: opens the catalog and stores, and wires model, jobs and HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from starlette.applications import Starlette

from app.catalog import Catalog
from app.clock import Clock
from app.ids import new_id
from app.model_api.secret import SECRET
from app.settings import Settings
from app.storage.composition import Storage, open_storage
from app.storage.library_identity import open_catalog
from app.telemetry.metrics import WorkerMetrics
from app.worker.clip_export import ClipExporter
from app.worker.clip_scoring import ClipScoring
from app.worker.confidence import ConfidenceEstimator
from app.worker.decoding import Decoder
from app.worker.job_runner import JobRunner
from app.worker.model_scheduler import ModelScheduler
from app.worker.pipeline import IngestPipeline
from app.worker.scoring import Scoring
from app.worker.server import ModelCalls, create_worker_app
from app.worker.slots import IngestSlots
from app.worker.text_cache import TextCache
from xclip.encoder import Encoder


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """An open worker: `app` answers the API's calls, `runner` does jobs when it is run."""

    app: Starlette
    runner: JobRunner
    catalog: Catalog
    storage: Storage


@contextmanager
def open_worker(settings: Settings, encoder: Encoder, clock: Clock) -> Iterator[WorkerParts]:
    """The worker's parts around a loaded model; closed at the end of the block."""
    worker_id = new_id("wrk", clock, os.urandom)
    # half of what uploads leave free: what was accepted before is still indexed then
    storage = open_storage(
        settings.layout, writer_id=worker_id, min_free_bytes=settings.min_free_bytes // 2
    )
    media, tensors = storage.media, storage.tensors
    with (
        closing(ModelScheduler()) as scheduler,
        closing(storage),
        open_catalog(settings, clock=clock) as catalog,
    ):
        metrics = WorkerMetrics()
        metrics.model_calls_waiting.set_function(lambda: scheduler.waiting)
        texts = TextCache(encoder, scheduler)
        scoring = Scoring(encoder, scheduler, texts)
        confidence = ConfidenceEstimator(encoder, scoring, settings.layout.calibrations)
        decoder = Decoder.for_model(encoder, settings)
        pipeline = IngestPipeline(
            catalog,
            media,
            tensors,
            encoder,
            scheduler,
            decoder,
            confidence,
            settings.prompt_precision,
        )
        slots = IngestSlots(settings.ingests_at_once, clock.monotonic)
        runner = JobRunner(catalog, pipeline, worker_id, settings.lease_s, clock, metrics, slots)
        clips = ClipScoring(
            encoder, scheduler, scoring, confidence, decoder, media.tmp, runner.stopping
        )
        calls = ModelCalls(
            encoder,
            tensors,
            texts,
            scoring,
            confidence,
            clips,
            ClipExporter(media, decoder),
            metrics,
            ingests=settings.ingests_at_once,
        )
        app = create_worker_app(calls, metrics, secret=catalog.secret(SECRET))
        yield WorkerParts(app, runner, catalog, storage)
