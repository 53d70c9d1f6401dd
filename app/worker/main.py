"""Composition root of the worker: loads the model, serves it, runs jobs, ends on SIGTERM."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from app.catalog import Catalog
from app.clock import Clock, SystemClock
from app.ids import new_id
from app.model_api.secret import SECRET
from app.server.listener import run_app
from app.settings import Settings, SettingsError
from app.storage.media_store import MediaStore
from app.telemetry.metrics import WorkerMetrics
from app.worker.clip_export import ClipExporter
from app.worker.clip_scoring import ClipScoring
from app.worker.confidence import ConfidenceEstimator
from app.worker.decoding import Decoder
from app.worker.job_runner import JobRunner
from app.worker.model_scheduler import ModelScheduler
from app.worker.pipeline import IngestPipeline
from app.worker.scoring import Scoring
from app.worker.server import create_worker_app
from app.worker.startup_server import StartupServer
from app.worker.text_cache import TextCache
from index.tensors import PackedTensorStore
from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.errors import XCLIPError
from xclip.hub import reporting
from xclip.video.sandbox.child import probe_confinement
from xclip.video.sandbox.process import start_fork_server

logger = logging.getLogger(__name__)


def run_worker(settings: Settings, listener: socket.socket) -> None:
    """Serve the model on `listener` and pull jobs until SIGTERM or SIGINT.

    Raises
    ------
    SettingsError
        If the model that the settings name cannot be loaded.
    """
    clock = SystemClock()
    with StartupServer(listener, clock) as starting, reporting(starting.downloaded):
        encoder = _load(settings, clock)
    start_fork_server()  # it imports PyTorch too; the first video should not wait for that
    threading.Thread(target=_log_confinement, name="confinement", daemon=True).start()
    worker_id = new_id("wrk", clock, os.urandom)
    # half of what uploads leave free: what was accepted before is still indexed then
    media = MediaStore.in_folder(settings.data_dir, min_free_bytes=settings.min_free_bytes // 2)
    media.prepare()
    scheduler = ModelScheduler()
    metrics = WorkerMetrics()
    metrics.model_calls_waiting.set_function(lambda: scheduler.waiting)
    texts = TextCache(encoder, scheduler)
    scoring = Scoring(encoder, scheduler, texts)
    confidence = ConfidenceEstimator(encoder, scoring, settings.layout.calibrations)
    decoder = Decoder.for_model(encoder, settings)
    with (
        closing(PackedTensorStore(settings.layout.tensors, writer_id=worker_id)) as tensors,
        Catalog.open(
            settings.catalog_url, clock=clock, max_attempts=settings.max_attempts
        ) as catalog,
    ):
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
        runner = JobRunner(catalog, pipeline, worker_id, settings.lease_s, clock, metrics)
        clips = ClipScoring(
            encoder, scheduler, scoring, confidence, decoder, media.tmp, runner.stopping
        )
        with _running_jobs(runner, settings.ingests_at_once, settings.shutdown_grace_s):
            run_app(
                create_worker_app(
                    encoder,
                    tensors,
                    texts,
                    scoring,
                    confidence,
                    clips,
                    ClipExporter(media, decoder),
                    metrics,
                    secret=catalog.secret(SECRET),
                ),
                listener,
                settings,
                on_stop=runner.stop,
            )
    scheduler.close()


@contextmanager
def _running_jobs(runner: JobRunner, jobs_at_once: int, grace_s: float) -> Iterator[None]:
    """Within the block jobs are pulled; those in progress at its end go back to the queue."""
    threads = [
        threading.Thread(target=runner.run, name=f"runner-{number}", daemon=True)
        for number in range(jobs_at_once)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        runner.stop()
        patience_ends = time.monotonic() + grace_s
        for thread in threads:
            thread.join(max(0.0, patience_ends - time.monotonic()))


def _log_confinement() -> None:
    """Log what keeps decoding in; in a thread, for the fork server takes seconds to answer."""
    try:
        refused = probe_confinement()
    except XCLIPError as error:
        logger.warning("decoding cannot be confined: %s", error)
        return
    for sentence in refused:
        logger.warning("decoding is confined only in part: %s", sentence)
    if not refused:
        logger.info("decoding is confined: system calls, memory, time, files, user")


def _load(settings: Settings, clock: Clock) -> Encoder:
    began = clock.monotonic()
    try:
        encoder = load_encoder(
            settings.model,
            revision=settings.model_revision,
            device=settings.device,
            num_threads=settings.threads,
        )
    except XCLIPError as error:
        raise SettingsError(f"XCLIP_MODEL={settings.model} cannot be loaded: {error}") from error
    logger.info(
        "model loaded: name=%s fingerprint=%s device=%s seconds=%.2f",
        encoder.name,
        encoder.fingerprint,
        encoder.device,
        clock.monotonic() - began,
    )
    return encoder
