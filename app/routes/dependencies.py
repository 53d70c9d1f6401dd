"""Route dependencies: the services, typed, and the parameters that many URLs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Query
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request

from app.clock import Clock
from app.security.principal import Principal
from app.services.classify.classify import Classify
from app.services.ingest.ingest import Ingest
from app.services.ingest.job_watcher import JobWatcher
from app.services.ingest.resumable_uploads import ResumableUploads
from app.services.ingest.url_fetch import UrlFetcher
from app.services.library.clip_export import ClipExport
from app.services.library.label_sets import LabelSets
from app.services.library.library import LibraryService
from app.services.operations.metrics import MetricsCollector
from app.services.operations.model_status import ModelStatus
from app.services.operations.readiness import Readiness
from app.services.search.search import Search
from app.services.search.text_embeddings import Embeddings
from app.settings import Settings
from app.storage.media_store import MediaStore
from app.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may need, made once at the start of the application."""

    settings: Settings
    clock: Clock
    media: MediaStore
    metrics: Metrics
    figures: MetricsCollector
    readiness: Readiness
    ingest: Ingest
    uploads: ResumableUploads
    following: JobWatcher
    fetching: UrlFetcher
    library: LibraryService
    label_sets: LabelSets
    model_status: ModelStatus
    cutting: ClipExport
    embeddings: Embeddings
    search: Search
    classify: Classify


async def _services(request: Request) -> Services:
    services: Services = request.state.services
    return services


async def _owner(request: Request) -> str:
    caller: Principal = request.state.caller
    return caller.id


class NameConvertor(Convertor[str]):
    """`{job_id:name}` in a route: without a colon, behind which the name of an action begins."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        """The name as it is."""
        return value

    def to_string(self, value: str) -> str:
        """The name as it is."""
        return value


register_url_convertor("name", NameConvertor())

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_ID_PATTERN = r"^[a-z]{3}_[0-9a-z_]{1,64}$"

ServicesOf = Annotated[Services, Depends(_services)]
Owner = Annotated[str, Depends(_owner)]  # whose uploads and Idempotency-Keys these are
CollectionName = Annotated[str, Path(pattern=NAME_PATTERN)]
VideoId = Annotated[str, Path(pattern=_ID_PATTERN)]
UploadId = Annotated[str, Path(pattern=r"^upl_[0-9a-z]{1,36}$")]
JobId = Annotated[str, Path(pattern=_ID_PATTERN)]
Cursor = Annotated[str | None, Query(max_length=512, pattern=r"^[!-~]*$")]
Limit = Annotated[int, Query(ge=1, le=200)]
