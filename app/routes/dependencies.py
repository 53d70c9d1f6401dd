"""What routes are given: the services, typed, and the names and pages of every URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Query
from starlette.requests import Request

from app.catalog import Catalog
from app.media import MediaStore
from app.services.classify import Classify
from app.services.ingest import Ingest
from app.services.library import Library
from app.services.readiness import Readiness
from app.services.search import Search
from app.settings import Settings
from app.telemetry import Metrics
from app.worker.client import WorkerClient


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may need, made once at the start of the application."""

    settings: Settings
    catalog: Catalog
    media: MediaStore
    worker: WorkerClient
    metrics: Metrics
    readiness: Readiness
    ingest: Ingest
    library: Library
    search: Search
    classify: Classify


async def _services(request: Request) -> Services:
    services: Services = request.state.services
    return services


NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_ID_PATTERN = r"^[a-z]{3}_[0-9a-z_]{1,64}$"

ServicesOf = Annotated[Services, Depends(_services)]
CollectionName = Annotated[str, Path(pattern=NAME_PATTERN)]
VideoId = Annotated[str, Path(pattern=_ID_PATTERN)]
JobId = Annotated[str, Path(pattern=_ID_PATTERN)]
Cursor = Annotated[str | None, Query(max_length=512, pattern=r"^[!-~]*$")]
Limit = Annotated[int, Query(ge=1, le=200)]
