"""Problem details (RFC 9457): how an error is written as application/problem+json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypedDict

from starlette.responses import Response

from app.errors import CatalogUnavailable, ChecksumMismatch, InvalidField, ServiceError

PROBLEM_MEDIA_TYPE = "application/problem+json"
_MAX_ECHO = 200
_MAX_ERRORS_BYTES = 2_048  # of JSON


class FieldError(TypedDict):
    """One item of a problem's `errors`: where in the request, and what is wrong there."""

    loc: list[str | int]
    msg: str


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """What is answered instead of a result."""

    status: int
    code: str
    detail: str
    errors: Sequence[FieldError] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def problem_response(problem: ProblemDetails, request_id: str) -> Response:
    """The problem as an answer. ASCII JSON: no text of a user's can make it unencodable."""
    body: dict[str, object] = {
        "type": f"urn:xclip-search:problem:{problem.code}",
        "title": status_phrase(problem.status),
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


def problem_of(error: ServiceError) -> ProblemDetails:
    """The error as a problem: the one rule from an error to its answer."""
    seconds = error.retry_after_s
    retry = {} if seconds is None else {"retry-after": str(max(1, math.ceil(seconds)))}
    fields = error.invalid_fields()
    return ProblemDetails(
        error.status,
        error.code,
        str(error),
        None if fields is None else field_errors(fields),
        {**error.headers, **retry},
    )


def field_errors(fields: Sequence[InvalidField]) -> list[FieldError]:
    """Invalid fields as a problem's `errors`, at least one and no more than there is room for.

    Names that the caller made up are cut.
    """
    listed: list[FieldError] = []
    room = _MAX_ERRORS_BYTES
    for invalid in fields:
        error = FieldError(loc=_printable_path(invalid.path), msg=invalid.message)
        room -= len(json.dumps(error))
        if listed and room < 0:
            break
        listed.append(error)
    return listed


def _printable_path(path: Sequence[str | int]) -> list[str | int]:
    return [step if isinstance(step, int) else printable(step) for step in path]


def catalog_problem() -> ProblemDetails:
    """The database does not answer."""
    detail = "The catalog does not answer; nothing was changed. Try again later."
    return problem_of(CatalogUnavailable(detail))


def unexpected_problem() -> ProblemDetails:
    """The problem of an unexpected error; the log has the details under the request's id."""
    return ProblemDetails(500, "internal_error", "Something unforeseen failed; it has been logged.")


def status_phrase(status: int) -> str:
    """The words for an HTTP status, or for the one that only the tus protocol has."""
    return "Checksum Mismatch" if status == ChecksumMismatch.status else HTTPStatus(status).phrase


def printable(text: str) -> str:
    """Text of the caller's, cut to what every encoder takes and JSON needs 200 bytes for."""
    shown = text[:_MAX_ECHO].encode("utf-8", "replace").decode("utf-8")
    while len(json.dumps(shown)) > _MAX_ECHO + len('""'):
        shown = shown[:-1]
    return shown
