"""Raw responses: a problem as the bytes of a whole HTTP response, without an application."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.errors import AppError
from app.problems import problem_of, problem_response


def refusal(error: AppError, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The response that ends a connection with `error` as application/problem+json."""
    request_id = f"req_{secrets.token_hex(10)}"
    answer = problem_response(problem_of(error), request_id)
    headers = [
        *default_headers,
        *answer.raw_headers,
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    head = b"".join(b"%b: %b\r\n" % header for header in headers)
    return STATUS_LINE[answer.status_code] + head + b"\r\n" + bytes(answer.body)
