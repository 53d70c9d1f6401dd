"""The one place that makes answers of errors: every error becomes RFC 9457 problem+json here."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.catalog import errors as catalog
from app.errors import AppError, ChecksumMismatch, ModelMismatch
from app.fetch import errors as fetch
from app.model_api.endpoint import WorkerFailed, WorkerUnavailable
from app.security import errors as refusals
from app.storage.media_store import ContentTooLarge, MediaError, StorageFull
from app.storage.partial_uploads import PartialError, PartialLocked, PartialMissing
from xclip.errors import VideoError, VideoTooLarge
from xclip_search.schemas import Problem as ProblemSchema

PROBLEM_MEDIA_TYPE = "application/problem+json"
DATABASE_ERRORS: tuple[type[Exception], ...] = (SQLAlchemyError,)
_RETRY_AFTER_S = 5
_MAX_FIELD_ERRORS = 20
_MAX_ECHO = 200


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """What is answered instead of a result."""

    status: int
    code: str
    detail: str
    errors: Sequence[Mapping[str, object]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


_CATALOG_STATUS: Mapping[type[Exception], int] = {
    catalog.NotFound: 404,
    catalog.InvalidMetadata: 422,
    catalog.InvalidCursor: 422,
    catalog.JobStateConflict: 409,
    catalog.KeyAnswered: 409,
    catalog.ModelMismatch: 409,
}
_FILE_STATUS: Mapping[str, int] = {
    ContentTooLarge.code: 413,
    StorageFull.code: 507,
    PartialMissing.code: 404,
    PartialLocked.code: 423,
}
_REFUSAL_STATUS: Mapping[type[refusals.SecurityError], int] = {
    refusals.Unauthenticated: 401,
    refusals.Forbidden: 403,
    refusals.HostNotAllowed: 421,
    refusals.TooManyRequests: 429,
}
_FETCH_STATUS: Mapping[type[Exception], int] = {
    fetch.UrlIngestOff: 403,
    fetch.InvalidUrl: 422,
    fetch.UrlNotAllowed: 403,
    fetch.UrlUnreachable: 502,
    fetch.UrlTooSlow: 504,
    fetch.TooManyDownloads: 503,
}
_FRAMEWORK_CODES: Mapping[int, str] = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
}
_VIDEO_CODES = {leaf.code for leaf in VideoError.__subclasses__()} | {VideoError.code}


def add_error_responses(app: FastAPI) -> None:
    """Teach `app` to answer every foreseen error as a problem."""
    app.add_exception_handler(AppError, _answer_app_error)
    app.add_exception_handler(catalog.CatalogError, _answer_catalog_error)
    app.add_exception_handler(fetch.FetchError, _answer_fetch_error)
    app.add_exception_handler(MediaError, _answer_file_error)
    app.add_exception_handler(PartialError, _answer_file_error)
    app.add_exception_handler(WorkerUnavailable, _answer_worker_unavailable)
    app.add_exception_handler(WorkerFailed, _answer_worker_failed)
    app.add_exception_handler(OperationalError, _answer_database_error)
    app.add_exception_handler(OSError, _answer_system_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_exception)


def problem_response(problem: ProblemDetails, request_id: str) -> Response:
    """The problem as an answer. ASCII JSON: no text of a user's can make it unencodable."""
    body: dict[str, object] = {
        "type": f"urn:xclip-search:problem:{problem.code}",
        "title": _phrase(problem.status),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
    }
    if problem.errors is not None:
        body["errors"] = problem.errors
    return Response(
        json.dumps(body, ensure_ascii=True),
        problem.status,
        headers=dict(problem.headers),
        media_type=PROBLEM_MEDIA_TYPE,
    )


def problem_of(error: AppError) -> ProblemDetails:
    """The error as a problem, for layers that no exception handler stands around."""
    seconds = error.retry_after_s
    wait = {} if seconds is None else {"retry-after": str(max(1, math.ceil(seconds)))}
    return ProblemDetails(error.status, error.code, str(error), headers={**error.headers, **wait})


def refusal_problem(refusal: refusals.SecurityError) -> ProblemDetails:
    """Why a door stayed shut."""
    status = next(s for kind, s in _REFUSAL_STATUS.items() if isinstance(refusal, kind))
    headers = {}
    if isinstance(refusal, refusals.Unauthenticated):
        headers["www-authenticate"] = refusal.challenge
    if isinstance(refusal, refusals.TooManyRequests):
        headers["retry-after"] = str(max(1, math.ceil(refusal.wait_s)))
    return ProblemDetails(status, refusal.code, str(refusal), headers=headers)


def catalog_problem() -> ProblemDetails:
    """The database does not answer."""
    detail = "The catalog does not answer; nothing was changed. Try again later."
    headers = {"retry-after": str(_RETRY_AFTER_S)}
    return ProblemDetails(503, "catalog_unavailable", detail, headers=headers)


def unexpected_problem() -> ProblemDetails:
    """What a bug looks like from outside; the log has the rest under the request's id."""
    return ProblemDetails(500, "internal_error", "Something unforeseen failed; it has been logged.")


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that may answer these statuses with a problem."""
    return {status: {"model": ProblemSchema, "description": _phrase(status)} for status in statuses}


def document_problems(schema: dict[str, Any]) -> None:
    """Give the problems in an OpenAPI schema their media type, which FastAPI cannot be told."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                content = response.get("content", {})
                reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
                if reference.endswith("/Problem"):
                    content[PROBLEM_MEDIA_TYPE] = content.pop("application/json")


def _answer(request: Request, problem: ProblemDetails) -> Response:
    return problem_response(problem, request.state.request_id)


async def _answer_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return _answer(request, problem_of(error))


async def _answer_catalog_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, catalog.CatalogError)
    if isinstance(error, catalog.InvalidFilter):
        return _answer(request, _filter_problem(error))
    for kind, status in _CATALOG_STATUS.items():
        if isinstance(error, kind):
            return _answer(request, ProblemDetails(status, error.code, str(error)))
    raise error


def _filter_problem(error: catalog.InvalidFilter) -> ProblemDetails:
    place = [_printable(step) for step in ("body", *error.inside, *error.path)]
    return ProblemDetails(422, error.code, str(error), [{"loc": place, "msg": str(error)}])


async def _answer_file_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MediaError | PartialError)
    return _answer(request, ProblemDetails(_FILE_STATUS[error.code], error.code, str(error)))


async def _answer_fetch_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, fetch.FetchError)
    status = _FETCH_STATUS[type(error)]
    headers = {"retry-after": str(_RETRY_AFTER_S)} if status == 503 else {}
    return _answer(request, ProblemDetails(status, error.code, str(error), headers=headers))


async def _answer_worker_unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, WorkerUnavailable)
    headers = {"retry-after": str(_RETRY_AFTER_S)}
    return _answer(request, ProblemDetails(503, error.code, str(error), headers=headers))


async def _answer_worker_failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, WorkerFailed)
    if error.code == VideoTooLarge.code:
        status = 413
    elif error.code in _VIDEO_CODES:
        status = 422
    elif error.code in (ModelMismatch.code, "calibration_unusable"):
        status = 409
    else:
        status = 502
    return _answer(request, ProblemDetails(status, error.code, str(error)))


async def _answer_database_error(request: Request, _: Exception) -> Response:
    return _answer(request, catalog_problem())


async def _answer_system_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise error
    return _answer(request, ProblemDetails(507, "storage_full", "The data folder's disk is full."))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """422 without `input`: an echo may be huge, secret, or text that no encoder takes."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()[:_MAX_FIELD_ERRORS]
    places = [[_printable(step) for step in item["loc"]] for item in found]
    fields = [
        {"loc": place, "msg": _printable(item["msg"])}
        for place, item in zip(places, found, strict=True)
    ]
    named = ", ".join(".".join(map(str, place)) for place in places)
    return _answer(request, ProblemDetails(422, "invalid_request", f"Refused: {named}.", fields))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _FRAMEWORK_CODES.get(error.status_code, "request_failed")
    headers = error.headers or {}
    return _answer(request, ProblemDetails(error.status_code, code, error.detail, headers=headers))


def _phrase(status: int) -> str:
    return "Checksum Mismatch" if status == ChecksumMismatch.status else HTTPStatus(status).phrase


def _printable(step: str | int) -> str | int:
    if isinstance(step, int):
        return step
    return step[:_MAX_ECHO].encode("utf-8", "replace").decode("utf-8")
