"""A worker's parts put together as its process does: real catalog, tensor store and media."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from app.catalog import Catalog
from app.catalog.records import Job, NewVideo
from app.clock import SystemClock
from app.model_api.client import WorkerClient
from app.model_api.secret import SECRET
from app.server.listener import bind
from app.service_urls import base_url
from app.settings import Settings
from app.storage.composition import open_storage
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
from app.worker.server import ModelCalls, create_worker_app
from app.worker.slots import IngestSlots
from app.worker.text_cache import TextCache
from index.protocol import TensorStore
from tests.app.stored_files import content_file
from xclip.encoder import Encoder


@dataclass(frozen=True)
class Parts:
    """What a worker is made of."""

    settings: Settings
    catalog: Catalog
    media: MediaStore
    tensors: TensorStore
    encoder: Encoder
    gate: ModelScheduler
    decoder: Decoder

    @property
    def texts(self) -> TextCache:
        return TextCache(self.encoder, self.gate)

    @property
    def scoring(self) -> Scoring:
        return Scoring(self.encoder, self.gate, self.texts)

    @property
    def certainty(self) -> ConfidenceEstimator:
        return ConfidenceEstimator(self.encoder, self.scoring, self.settings.layout.calibrations)

    @property
    def pipeline(self) -> IngestPipeline:
        return IngestPipeline(
            self.catalog,
            self.media,
            self.tensors,
            self.encoder,
            self.gate,
            self.decoder,
            self.certainty,
            self.settings.prompt_precision,
        )

    def puller(
        self, owner: str = "wrk_1", lease_s: float = 30.0, slots: IngestSlots | None = None
    ) -> JobRunner:
        clock = SystemClock()
        slots = slots or IngestSlots(4, clock.monotonic)
        return JobRunner(self.catalog, self.pipeline, owner, lease_s, clock, WorkerMetrics(), slots)

    def upload(self, source: Path) -> Job:
        """Queue an ingest of the file's bytes, as the API does after an upload."""
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        target = content_file(self.media, digest)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)
        new = NewVideo(source.name, "video/mp4", source.stat().st_size, digest, {})
        _, job, _ = self.catalog.add_video_with_job("default", new)
        return job


def eventually(condition: Callable[[], bool], within_s: float = 300.0) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@contextmanager
def running(puller: JobRunner) -> Iterator[threading.Thread]:
    """Within the block the puller works in a thread, as in its process."""
    thread = threading.Thread(target=puller.run)
    thread.start()
    try:
        yield thread
    finally:
        puller.stop()
        thread.join()


@contextmanager
def model_taken(parts: Parts) -> Iterator[None]:
    """Within the block ingests get as far as their first batch and wait there."""
    released = threading.Event()
    parts.gate.query(released.wait)
    try:
        yield
    finally:
        released.set()


@pytest.fixture
def parts(tmp_path: Path, encoder: Encoder) -> Iterator[Parts]:
    """Parts over a data folder of the test's own, with a collection of short windows."""
    settings = Settings(data_dir=tmp_path / "data", window_s=1.0, stride_s=0.5)
    storage = open_storage(settings.layout, writer_id="wrk_1")
    gate = ModelScheduler()
    with Catalog.open(settings.catalog_url, clock=SystemClock(), entropy=os.urandom) as catalog:
        catalog.create_collection(
            "default",
            model=encoder.name,
            window_s=settings.window_s,
            stride_s=settings.stride_s,
            metadata={},
        )
        decoder = Decoder.for_model(encoder, settings)
        yield Parts(settings, catalog, storage.media, storage.tensors, encoder, gate, decoder)
    gate.close()
    storage.close()


@pytest.fixture
def client(parts: Parts) -> Iterator[WorkerClient]:
    """A client of the parts' internal HTTP, served on a real port."""
    texts = parts.texts
    scoring = Scoring(parts.encoder, parts.gate, texts)
    certainty = ConfidenceEstimator(parts.encoder, scoring, parts.settings.layout.calibrations)
    clips = ClipScoring(
        parts.encoder, parts.gate, scoring, certainty, parts.decoder, parts.media.tmp, lambda: False
    )
    secret = parts.catalog.secret(SECRET)
    metrics = WorkerMetrics()
    calls = ModelCalls(
        parts.encoder,
        parts.tensors,
        texts,
        scoring,
        certainty,
        clips,
        ClipExporter(parts.media, parts.decoder),
        metrics,
        ingests=1,
    )
    app = create_worker_app(calls, metrics, secret=secret)
    with serving(app) as url:
        worker = WorkerClient(url, secret=secret)
        yield worker
        worker.close()


class serving:  # noqa: N801  reads as a statement
    """Within the block, the ASGI application answers at the URL."""

    def __init__(self, app: Callable[..., object]) -> None:
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        self._listener = bind("127.0.0.1", free_port())
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}
        )

    def __enter__(self) -> str:
        self._listener.listen()
        self._thread.start()
        return base_url(*self._listener.getsockname())

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
