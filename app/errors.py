"""The one place that knows HTTP status codes: every error becomes RFC 9457 problem+json here.

AppError
├── InvalidRequest         422 invalid_request
├── UnsupportedMediaType   415 unsupported_media_type
├── CollectionDiffers      409 collection_exists_differs
├── CollectionProtected    409 collection_protected
├── VideoNotReady          409 video_not_ready
├── ModelMismatch          409 model_mismatch
├── NotCalibrated          409 not_calibrated
├── JobDidNotSucceed       409 job_did_not_succeed
├── DeadlineExceeded       504 deadline_exceeded
├── CursorExpired          410 cursor_expired
├── ContentNotFound        404 content_not_found
└── ThumbnailNotFound      404 thumbnail_not_found

Errors of the catalog, the media store and the worker keep their own codes.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.catalog import errors as catalog
from app.media import ContentTooLarge
from app.schemas import Problem as ProblemSchema
from app.worker.client import WorkerFailed, WorkerUnavailable
from xclip.errors import VideoError, VideoTooLarge

PROBLEM_MEDIA_TYPE = "application/problem+json"
DATABASE_ERRORS: tuple[type[Exception], ...] = (SQLAlchemyError,)
_RETRY_AFTER_S = 5
_MAX_FIELD_ERRORS = 20
_MAX_ECHO = 200


class AppError(Exception):
    """Root of the service's own errors; the message is a sentence for the caller."""

    code: ClassVar[str] = "app_error"
    status: ClassVar[int] = 500


class InvalidRequest(AppError):
    """The request is malformed in a way the schemas do not catch."""

    code = "invalid_request"
    status = 422


class UnsupportedMediaType(AppError):
    """The body is not of the kind the route takes."""

    code = "unsupported_media_type"
    status = 415


class CollectionDiffers(AppError):
    """A collection of that name exists with other properties than those asked for."""

    code = "collection_exists_differs"
    status = 409


class CollectionProtected(AppError):
    """The default collection cannot be deleted."""

    code = "collection_protected"
    status = 409


class VideoNotReady(AppError):
    """The video has no segments yet, or its ingest failed."""

    code = "video_not_ready"
    status = 409


class ModelMismatch(AppError):
    """The collection was built with another model than the one that answers."""

    code = "model_mismatch"
    status = 409


class NotCalibrated(AppError):
    """A least confidence was asked for, but nothing is fitted to the collection's model."""

    code = "not_calibrated"
    status = 409


class JobDidNotSucceed(AppError):
    """The job whose segments were to be waited for has failed or was canceled."""

    code = "job_did_not_succeed"
    status = 409


class DeadlineExceeded(AppError):
    """What was waited for did not happen in the time the request gave it."""

    code = "deadline_exceeded"
    status = 504


class CursorExpired(AppError):
    """The state that a cursor is pinned to is no longer there."""

    code = "cursor_expired"
    status = 410


class ContentNotFound(AppError):
    """The video's bytes are not in the media store."""

    code = "content_not_found"
    status = 404


class ThumbnailNotFound(AppError):
    """No picture of that moment exists (yet)."""

    code = "thumbnail_not_found"
    status = 404


@dataclass(frozen=True, slots=True)
class Problem:
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
    catalog.ModelMismatch: 409,
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
    app.add_exception_handler(ContentTooLarge, _answer_too_large)
    app.add_exception_handler(WorkerUnavailable, _answer_worker_unavailable)
    app.add_exception_handler(WorkerFailed, _answer_worker_failed)
    app.add_exception_handler(OperationalError, _answer_database_error)
    app.add_exception_handler(OSError, _answer_system_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_exception)


def problem_response(problem: Problem, request_id: str) -> Response:
    """The problem as an answer. ASCII JSON: no text of a user's can make it unencodable."""
    body: dict[str, object] = {
        "type": f"urn:xclip-search:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
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


def unexpected_problem() -> Problem:
    """What a bug looks like from outside; the log has the rest under the request's id."""
    return Problem(500, "internal_error", "Something unforeseen failed; it has been logged.")


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that may answer these statuses with a problem."""
    return {
        status: {"model": ProblemSchema, "description": HTTPStatus(status).phrase}
        for status in statuses
    }


def document_problems(schema: dict[str, Any]) -> None:
    """Give the problems in an OpenAPI schema their media type, which FastAPI cannot be told."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                content = response.get("content", {})
                reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
                if reference.endswith("/Problem"):
                    content[PROBLEM_MEDIA_TYPE] = content.pop("application/json")


def _answer(request: Request, problem: Problem) -> Response:
    return problem_response(problem, request.state.request_id)


async def _answer_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return _answer(request, Problem(error.status, error.code, str(error)))


async def _answer_catalog_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, catalog.CatalogError)
    if isinstance(error, catalog.InvalidFilter):
        return _answer(request, _filter_problem(error))
    for kind, status in _CATALOG_STATUS.items():
        if isinstance(error, kind):
            return _answer(request, Problem(status, error.code, str(error)))
    raise error


def _filter_problem(error: catalog.InvalidFilter) -> Problem:
    place = [_printable(step) for step in ("body", *error.inside, *error.path)]
    return Problem(422, error.code, str(error), [{"loc": place, "msg": str(error)}])


async def _answer_too_large(request: Request, error: Exception) -> Response:
    return _answer(request, Problem(413, ContentTooLarge.code, str(error)))


async def _answer_worker_unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, WorkerUnavailable)
    headers = {"retry-after": str(_RETRY_AFTER_S)}
    return _answer(request, Problem(503, error.code, str(error), headers=headers))


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
    return _answer(request, Problem(status, error.code, str(error)))


async def _answer_database_error(request: Request, _: Exception) -> Response:
    detail = "The catalog does not answer; nothing was changed. Try again later."
    headers = {"retry-after": str(_RETRY_AFTER_S)}
    return _answer(request, Problem(503, "catalog_unavailable", detail, headers=headers))


async def _answer_system_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise error
    return _answer(request, Problem(507, "storage_full", "The data folder's disk is full."))


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
    return _answer(request, Problem(422, "invalid_request", f"Refused: {named}.", fields))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _FRAMEWORK_CODES.get(error.status_code, "request_failed")
    headers = error.headers or {}
    return _answer(request, Problem(error.status_code, code, error.detail, headers=headers))


def _printable(step: str | int) -> str | int:
    if isinstance(step, int):
        return step
    return step[:_MAX_ECHO].encode("utf-8", "replace").decode("utf-8")
