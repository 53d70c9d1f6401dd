"""The API application: `create_app` wires the parts and opens and closes them with its lifespan."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypedDict

import anyio.to_thread
from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.clock import Clock, SystemClock
from app.composition import Parts, Services, open_service, periodic_tasks
from app.model_api.client import WorkerClient
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
from app.routes.error_responses import (
    add_error_responses,
    document_problems,
    problem_responses,
)
from app.routes.openapi_document import document_json_values
from app.routes.score_kinds import document_score_kinds
from app.routes.tus import document_tus
from app.security.access_table import check_access_table, document_access
from app.security.authentication import Authenticator
from app.security.headers import SecurityHeaders
from app.security.middleware import AuthMiddleware
from app.server.admission import AdmissionControl, threads_needed
from app.server.body_limit import BodyLimit
from app.server.head_method import HeadMethod
from app.services.operations.periodic_tasks import PeriodicTasks
from app.settings import Settings
from app.telemetry.metrics import Metrics
from app.telemetry.requests import Telemetry

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

    parts: Parts
    services: Services
    authenticator: Authenticator


def create_app(
    settings: Settings,
    *,
    worker: WorkerClient | None = None,
    clock: Clock | None = None,
    stopping: threading.Event | None = None,
) -> FastAPI:
    """The API over the data folder and the worker that `settings` name.

    `worker` and `clock` replace the client and the clock made from the settings. The caller
    sets `stopping` when the application must end: then no client is kept waiting any longer.
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
        generate_unique_id_function=_operation_id,
    )
    # The last one added is the outermost, so cheap checks come before costly ones.
    app.add_middleware(BodyLimit)
    app.add_middleware(AdmissionControl, settings=settings, clock=clock, metrics=metrics)
    app.add_middleware(HeadMethod)
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
        parts, services = await anyio.to_thread.run_sync(
            open_service, settings, worker, clock, metrics, stopping
        )
        authenticator = await anyio.to_thread.run_sync(
            Authenticator, parts.catalog, clock, settings
        )
        tasks = [
            asyncio.create_task(authenticator.revocation.run()),
            asyncio.create_task(PeriodicTasks(periodic_tasks(parts, services)).run()),
        ]
        try:
            yield State(parts=parts, services=services, authenticator=authenticator)
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await anyio.to_thread.run_sync(parts.close)

    return lifespan


def _operation_id(route: APIRoute) -> str:
    """What generated clients call their method: the name of the route's function."""
    return route.name


def _document(app: FastAPI) -> None:
    """Add to the OpenAPI document, at the first request for it, what FastAPI cannot know."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        schema = generate()
        document_json_values(schema)
        document_problems(schema)
        document_tus(schema)
        document_access(schema)
        document_score_kinds(schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
