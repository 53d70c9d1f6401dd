"""Route dependencies: one for each service, and the parameters that many URLs share.

A route names the services that it uses, by the aliases below, and gets no others.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request

from app.clock import Clock
from app.security.authentication import Authenticator
from app.security.principal import Principal
from app.server.concurrency import Permit
from app.services.classify.classify import Classify
from app.services.ingest.incoming_files import IncomingFiles
from app.services.ingest.ingest import Ingest
from app.services.ingest.job_watcher import JobWatcher
from app.services.ingest.model_match import ModelMatch
from app.services.ingest.quotas import Quotas
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


def _service(name: str) -> Callable[[Request], Coroutine[Any, Any, Any]]:
    """A dependency: the service that `app.composition.Services` holds under this name."""

    async def provide(request: Request) -> Any:
        return getattr(request.state.services, name)

    return provide


async def _caller(request: Request) -> Principal:
    caller: Principal = request.state.caller
    return caller


Caller = Annotated[Principal, Depends(_caller)]


async def _permit(request: Request) -> Permit:
    permit: Permit = request.state.permit
    return permit


async def _authenticator(request: Request) -> Authenticator:
    authenticator: Authenticator = request.state.authenticator
    return authenticator


async def _owner(caller: Caller) -> str:
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

ClassifyDep = Annotated[Classify, Depends(_service("classify"))]
ClipExportDep = Annotated[ClipExport, Depends(_service("clip_export"))]
ClockDep = Annotated[Clock, Depends(_service("clock"))]
EmbeddingsDep = Annotated[Embeddings, Depends(_service("embeddings"))]
IncomingFilesDep = Annotated[IncomingFiles, Depends(_service("incoming_files"))]
IngestDep = Annotated[Ingest, Depends(_service("ingest"))]
JobWatcherDep = Annotated[JobWatcher, Depends(_service("job_watcher"))]
LabelSetsDep = Annotated[LabelSets, Depends(_service("label_sets"))]
LibraryDep = Annotated[LibraryService, Depends(_service("library"))]
MetricsDep = Annotated[MetricsCollector, Depends(_service("metrics"))]
ModelMatchDep = Annotated[ModelMatch, Depends(_service("model_match"))]
ModelStatusDep = Annotated[ModelStatus, Depends(_service("model_status"))]
QuotasDep = Annotated[Quotas, Depends(_service("quotas"))]
ReadinessDep = Annotated[Readiness, Depends(_service("readiness"))]
SearchDep = Annotated[Search, Depends(_service("search"))]
UploadsDep = Annotated[ResumableUploads, Depends(_service("uploads"))]
UrlFetcherDep = Annotated[UrlFetcher, Depends(_service("url_fetcher"))]

CurrentPermit = Annotated[Permit, Depends(_permit)]  # on routes with a cost class, see ROUTE_TABLE
CurrentAuthenticator = Annotated[Authenticator, Depends(_authenticator)]
Owner = Annotated[str, Depends(_owner)]  # whose uploads and Idempotency-Keys these are
CollectionName = Annotated[str, Path(pattern=NAME_PATTERN, description="name of the collection")]
VideoId = Annotated[str, Path(pattern=_ID_PATTERN, description="id of the video, `vid_…`")]
UploadId = Annotated[
    str, Path(pattern=r"^upl_[0-9a-z]{1,36}$", description="id of the upload, `upl_…`")
]
JobId = Annotated[str, Path(pattern=_ID_PATTERN, description="id of the job, `job_…`")]
Cursor = Annotated[
    str | None,
    Query(
        max_length=512,
        pattern=r"^[!-~]*$",
        description="next_cursor of the page before; default: the first page",
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="at most this many items on a page")]
