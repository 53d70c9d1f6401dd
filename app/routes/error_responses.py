"""Exception handlers: every error that reaches the application becomes a problem here."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.catalog.errors import DATABASE_UNAVAILABLE, is_disk_full
from app.errors import InvalidField, ServiceError, UnsupportedMediaType
from app.problems import (
    PROBLEM_MEDIA_TYPE,
    ProblemDetails,
    catalog_problem,
    field_errors,
    printable,
    problem_of,
    problem_response,
    status_phrase,
)
from app.storage.media_store import StorageFull
from app.validation_words import explained
from xclip_search.schemas import Problem

_MAX_FIELD_ERRORS = 20
_MAX_NAMED = 3  # of them, in the sentence
_NOT_AS_JSON = "The body must be JSON, sent with the header Content-Type: application/json."
_FRAMEWORK_CODES: Mapping[int, str] = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
}


def add_error_responses(app: FastAPI) -> None:
    """Teach `app` to answer every foreseen error as a problem."""
    app.add_exception_handler(ServiceError, _answer_service_error)
    app.add_exception_handler(DATABASE_UNAVAILABLE, _answer_database_error)
    app.add_exception_handler(OSError, _answer_system_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_exception)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that may answer these statuses with a problem."""
    return {status: {"model": Problem, "description": status_phrase(status)} for status in statuses}


def document_problems(schema: dict[str, Any]) -> None:
    """Give the problems in an OpenAPI schema their media type, which FastAPI cannot set.

    A body that is not sent as JSON is a problem of every route that takes one.
    """
    for operations in schema["paths"].values():
        for operation in operations.values():
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                operation["responses"].setdefault("415", _media_type_problem())
            for response in operation["responses"].values():
                content = response.get("content", {})
                reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
                if reference.endswith("/Problem"):
                    content[PROBLEM_MEDIA_TYPE] = content.pop("application/json")


def _media_type_problem() -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/Problem"}
    content = {"application/json": {"schema": reference}}
    return {"description": status_phrase(415), "content": content}


def _answer(request: Request, problem: ProblemDetails) -> Response:
    return problem_response(problem, request.state.request_id)


async def _answer_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    if error.status == ServiceError.status:  # no caller can cause it: a bug
        raise error
    return _answer(request, problem_of(error))


async def _answer_database_error(request: Request, error: Exception) -> Response:
    if is_disk_full(error):
        return _answer(request, problem_of(StorageFull("The data folder's disk is full.")))
    return _answer(request, catalog_problem())


async def _answer_system_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        raise error
    return _answer(request, problem_of(StorageFull("The data folder's disk is full.")))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    """422 without `input`: an echo may be huge, secret, or text that no encoder takes."""
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    if _is_unread_json(request, problems):
        return _answer(request, problem_of(UnsupportedMediaType(_NOT_AS_JSON)))
    found = list(explained(problems))[:_MAX_FIELD_ERRORS]
    fields = field_errors([InvalidField(where, printable(why)) for where, why in found])
    named = [".".join(map(str, invalid["loc"])) for invalid in fields[:_MAX_NAMED]]
    more = [f"and {len(fields) - _MAX_NAMED} more"] if len(fields) > _MAX_NAMED else []
    detail = f"Refused: {', '.join([*named, *more])}."
    return _answer(request, ProblemDetails(422, "invalid_request", detail, fields))


def _is_unread_json(request: Request, problems: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the framework has not parsed the body, for it does not come as JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return any(isinstance(each.get("input"), bytes) for each in problems) and not (
        media_type == "application/json" or media_type.endswith("+json")
    )


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _FRAMEWORK_CODES.get(error.status_code, "request_failed")
    headers = error.headers or {}
    return _answer(request, ProblemDetails(error.status_code, code, error.detail, headers=headers))
