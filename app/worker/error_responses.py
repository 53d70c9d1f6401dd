"""Exception handlers of the worker: every error becomes JSON {code, message} with its status."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from app.errors import ServiceError
from app.problems import ProblemDetails, problem_of
from app.worker.memory_shortage import memory_shortage
from index.errors import VectorStoreError
from xclip.errors import DecoderLost, VideoError

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Request, Exception], Coroutine[Any, Any, Response]]

_UNEXPECTED_CODE: Final = "worker_failed"


def error_response(error: ServiceError) -> Response:
    """The answer to a call that the worker refuses."""
    return _response(problem_of(error))


def error_body(code: str, message: str) -> bytes:
    """The body of every answer but success."""
    return json.dumps({"code": code, "message": message}).encode()


def _response(problem: ProblemDetails) -> Response:
    return Response(
        error_body(problem.code, problem.detail),
        problem.status,
        headers=dict(problem.headers),
        media_type="application/json",
    )


async def _answer_service_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    if error.status == ServiceError.status:
        raise error  # to be logged, then answered by `_answer_unexpected`
    return error_response(error)


async def _answer_video_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, VideoError)
    return _response(ProblemDetails(422, error.code, str(error)))


async def _answer_decoder_lost(_: Request, error: Exception) -> Response:
    assert isinstance(error, DecoderLost)
    return _response(ProblemDetails(503, error.code, str(error)))


async def _answer_refused_memory(_: Request, error: Exception) -> Response:
    shortage = memory_shortage(error)
    if shortage is None:
        raise error  # to be logged, then answered by `_answer_unexpected`
    logger.warning("%s", shortage, exc_info=error)
    return error_response(shortage)


async def _answer_unexpected(_: Request, error: Exception) -> Response:
    code = getattr(error, "code", _UNEXPECTED_CODE)
    return _response(ProblemDetails(ServiceError.status, code, str(error)))


ERROR_HANDLERS: Mapping[type[Exception], Handler] = {
    ServiceError: _answer_service_error,
    VideoError: _answer_video_error,
    DecoderLost: _answer_decoder_lost,
    VectorStoreError: _answer_unexpected,
    MemoryError: _answer_refused_memory,
    RuntimeError: _answer_refused_memory,
    OSError: _answer_refused_memory,
    Exception: _answer_unexpected,
}
