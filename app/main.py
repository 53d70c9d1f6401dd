"""The API application: `create_app` wires the parts and opens and closes them with its lifespan."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, TypedDict

import anyio.to_thread
from fastapi import FastAPI

from app.catalog import Catalog
from app.catalog.uploads import ANSWER_KEPT_S
from app.clock import Clock, SystemClock
from app.fetch.rules import UrlRules
from app.model_api.client import WorkerClient
from app.model_api.secret import SECRET
from app.routes import (
    classify,
    clips,
    collections,
    embeddings,
    events,
    exports,
    jobs,
    label_sets,
    models,
    page,
    removals,
    search,
    session,
    system,
    uploads,
    videos,
)
from app.routes.dependencies import Services
from app.routes.error_responses import (
    add_error_responses,
    document_problems,
    problem_responses,
)
from app.security.access_table import check_access_table, document_access
from app.security.authentication import Authenticator
from app.security.headers import SecurityHeaders
from app.security.middleware import AuthMiddleware
from app.server.admission import AdmissionControl, threads_needed
from app.server.body_limit import BodyLimit
from app.services.classify.classify import Classify
from app.services.ingest.ingest import Ingest
from app.services.ingest.job_watcher import JobWatcher
from app.services.ingest.resumable_uploads import ResumableUploads
from app.services.ingest.url_fetch import UrlFetcher
from app.services.library.clip_export import ClipExport
from app.services.library.library import LibraryService
from app.services.operations.metrics import MetricsCollector
from app.services.operations.periodic_tasks import PeriodicTask, PeriodicTasks
from app.services.operations.readiness import Readiness
from app.services.search.search import Search
from app.services.search.text_embeddings import Embeddings
from app.services.vectors.damage import Damage
from app.services.vectors.factory import open_vectors
from app.settings import Settings
from app.storage.deletion import DeletionRunner
from app.storage.media_store import MediaStore
from app.storage.partial_uploads import PartialFiles
from app.telemetry.metrics import Metrics
from app.telemetry.requests import Telemetry
from index import PackedTensorStore

_ROUTERS = (
    collections,
    videos,
    clips,
    embeddings,
    exports,
    uploads,
    search,
    classify,
    label_sets,
    jobs,
    events,
    models,
    removals,
    session,
)


class State(TypedDict):
    """What every request finds at `request.state`, beside its own id and body allowance."""

    services: Services
    doors: Authenticator


def create_app(
    settings: Settings,
    *,
    worker: WorkerClient | None = None,
    clock: Clock | None = None,
    stopping: threading.Event | None = None,
) -> FastAPI:
    """The API over the data folder and the worker that `settings` name.

    `worker` and `clock` replace the client and the clock made from the settings. `stopping` is set
    by whoever runs the application when it is to end: then no client is kept waiting any longer.
    """
    several = len(worker.endpoints if worker else settings.worker_base_urls) > 1
    metrics = Metrics(several_workers=several)
    clock = clock or SystemClock()
    app = FastAPI(
        title="X-CLIP Search",
        description="Finds moments in video by what happens in them.",
        version="1",
        lifespan=_lifespan(settings, worker, clock, metrics, stopping or threading.Event()),
        docs_url=None,  # our own page: FastAPI's loads its scripts from elsewhere
        redirect_slashes=False,  # the redirect would be built from the client's Host header
        redoc_url=None,
    )
    # The last one added is the outermost: what a request costs grows from layer to layer.
    app.add_middleware(BodyLimit)
    app.add_middleware(AdmissionControl, settings=settings, clock=clock, metrics=metrics)
    app.add_middleware(AuthMiddleware)
    app.add_middleware(Telemetry, metrics=metrics)
    app.add_middleware(SecurityHeaders)
    add_error_responses(app)
    for module in _ROUTERS:
        app.include_router(module.router, responses=problem_responses(400, 500, 503))
    app.include_router(system.router)
    app.include_router(page.router)
    app.mount("/static", page.static_files(), name="static")
    app.mount("/swagger", page.swagger_files(), name="swagger")
    check_access_table(app.routes)
    _document(app)
    return app


def _lifespan(
    settings: Settings,
    worker: WorkerClient | None,
    clock: Clock,
    metrics: Metrics,
    stopping: threading.Event,
) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads_needed(settings)
        services = await anyio.to_thread.run_sync(_open, settings, worker, clock, metrics, stopping)
        doors = await anyio.to_thread.run_sync(Authenticator, services.catalog, clock, settings)
        housekeeping = asyncio.create_task(PeriodicTasks(_chores(services)).run())
        try:
            yield State(services=services, doors=doors)
        finally:
            housekeeping.cancel()
            with suppress(asyncio.CancelledError):
                await housekeeping
            services.worker.close()
            await anyio.to_thread.run_sync(services.vectors.close)
            await anyio.to_thread.run_sync(services.catalog.close)

    return lifespan


def _open(
    settings: Settings,
    worker: WorkerClient | None,
    clock: Clock,
    metrics: Metrics,
    stopping: threading.Event,
) -> Services:
    """Open what is on disk and bring the vectors up to date; blocks for as long as that takes."""
    media = MediaStore.in_folder(settings.data_dir, min_free_bytes=settings.min_free_bytes)
    media.prepare()
    partials = PartialFiles(settings.data_dir)
    partials.prepare()
    catalog = Catalog.open(settings.catalog_url, clock=clock, max_attempts=settings.max_attempts)
    worker = worker or WorkerClient(*settings.worker_base_urls, secret=catalog.secret(SECRET))
    vectors = open_vectors(catalog, threads=settings.threads, exact_up_to=settings.exact_up_to)
    damage = Damage(catalog, metrics.damaged_segments)
    tensors = PackedTensorStore(settings.layout.tensors, writer_id="api")  # which writes nothing
    remover = DeletionRunner(catalog, media, tensors, settings.layout.calibrations)
    library = LibraryService(catalog, media, remover, vectors, settings)
    library.ensure_default()
    ingest = Ingest(catalog, media)
    vectors.prepare()
    return Services(
        settings=settings,
        clock=clock,
        catalog=catalog,
        media=media,
        worker=worker,
        metrics=metrics,
        figures=MetricsCollector(catalog, vectors, worker, settings, metrics),
        readiness=Readiness(catalog, worker, settings.data_dir, settings.min_free_bytes),
        ingest=ingest,
        following=JobWatcher(catalog, stopping),
        uploads=ResumableUploads(
            catalog, media, partials, ingest, clock, max_bytes=settings.max_upload_bytes
        ),
        fetching=UrlFetcher(
            media,
            UrlRules.parse(settings.url_ingest),
            max_bytes=settings.max_upload_bytes,
            timeout_s=settings.url_timeout_s,
        ),
        library=library,
        remover=remover,
        vectors=vectors,
        cutting=ClipExport(media, worker),
        embeddings=Embeddings(worker, settings.model),
        search=Search(
            catalog,
            vectors,
            worker,
            clock,
            damage,
            recall_candidates=settings.recall_candidates,
            decode_timeout_s=settings.decode_timeout_s,
        ),
        classify=Classify(catalog, worker, damage, decode_timeout_s=settings.decode_timeout_s),
    )


def _chores(services: Services) -> Sequence[PeriodicTask]:
    """What is to be done from time to time, and first of all at the start."""

    def forget_answers() -> None:
        kept = timedelta(seconds=ANSWER_KEPT_S)
        services.catalog.expire_idempotent_answers(services.clock.now() - kept)

    return (
        PeriodicTask("sweep what dead processes left", services.media.sweep),
        PeriodicTask("finish uploads that are all there", services.uploads.finish_received),
        PeriodicTask("remove uploads that nobody finished", services.uploads.expire),
        PeriodicTask("forget answers to uploads", forget_answers),
        PeriodicTask("take off the disk what was deleted", services.remover.work_off),
    )


def _document(app: FastAPI) -> None:
    """Say in the OpenAPI document, once it is asked for, what FastAPI cannot know."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        document_problems(schema)
        document_access(schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
