"""The API application: `create_app` wires the parts and opens and closes them with its lifespan."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypedDict

import anyio.to_thread
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from app.catalog import Catalog
from app.clock import Clock, SystemClock
from app.errors import add_error_responses, document_problems, problem_responses
from app.limits import BodyLimit
from app.media import MediaStore
from app.routes import classify, collections, jobs, label_sets, models, search, system, videos
from app.routes.dependencies import Services
from app.services.classify import Classify
from app.services.ingest import Ingest
from app.services.library import Library
from app.services.readiness import Readiness
from app.services.search import Search
from app.services.vectors import FollowedVectors
from app.settings import Settings
from app.telemetry import Metrics, Telemetry
from app.worker.client import WorkerClient

_ROUTERS = (collections, videos, search, classify, label_sets, jobs, models)


class State(TypedDict):
    """What every request finds at `request.state`, beside its own id and body allowance."""

    services: Services


def create_app(
    settings: Settings, *, worker: WorkerClient | None = None, clock: Clock | None = None
) -> FastAPI:
    """The API over the data folder and the worker that `settings` name.

    `worker` and `clock` replace the client and the clock made from the settings.
    """
    metrics = Metrics()
    app = FastAPI(
        title="X-CLIP Search",
        description="Finds moments in video by what happens in them.",
        version="1",
        lifespan=_lifespan(settings, worker, clock or SystemClock(), metrics),
        redirect_slashes=False,  # the redirect would be built from the client's Host header
        redoc_url=None,
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(Telemetry, metrics=metrics)  # the last one added is the outermost
    add_error_responses(app)
    for module in _ROUTERS:
        app.include_router(module.router, responses=problem_responses(500, 503))
    app.include_router(system.router)
    app.mount("/static", StaticFiles(directory=system.WEB_FOLDER), name="static")
    _document(app)
    return app


def _lifespan(
    settings: Settings, worker: WorkerClient | None, clock: Clock, metrics: Metrics
) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        client = worker or WorkerClient(settings.worker_base_url)
        services = await anyio.to_thread.run_sync(_open, settings, client, clock, metrics)
        try:
            yield State(services=services)
        finally:
            client.close()
            await anyio.to_thread.run_sync(services.catalog.close)

    return lifespan


def _open(settings: Settings, worker: WorkerClient, clock: Clock, metrics: Metrics) -> Services:
    """Open what is on disk and bring the vectors up to date; blocks for as long as that takes."""
    media = MediaStore(settings.data_dir)
    media.prepare()
    media.sweep()
    catalog = Catalog.open(settings.catalog_url, clock=clock, max_attempts=settings.max_attempts)
    vectors = FollowedVectors(catalog, threads=settings.threads or os.cpu_count() or 1)
    library = Library(catalog, media, vectors, settings)
    library.ensure_default()
    vectors.load_all()
    return Services(
        settings=settings,
        catalog=catalog,
        media=media,
        worker=worker,
        metrics=metrics,
        readiness=Readiness(catalog, worker, settings.data_dir),
        ingest=Ingest(catalog, media),
        library=library,
        search=Search(
            catalog,
            vectors,
            worker,
            clock,
            recall_candidates=settings.recall_candidates,
            decode_timeout_s=settings.decode_timeout_s,
        ),
        classify=Classify(catalog, worker, decode_timeout_s=settings.decode_timeout_s),
    )


def _document(app: FastAPI) -> None:
    """Correct the media types of problems in the OpenAPI document, once it is asked for."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        document_problems(schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
