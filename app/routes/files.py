"""Files handed out: byte ranges, a type that we chose, and refusals as problems."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from app.problems import Problem, problem_response
from app.services.library import StoredFile

_RANGE_PROBLEMS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_range", "The Range header cannot be read."),
    416: ("range_not_satisfiable", "The Range header asks for bytes past the end."),
}
_BY_CONTAINER: Mapping[str, str] = {
    "mp4": "video/mp4",
    "matroska": "video/x-matroska",
    "avi": "video/x-msvideo",
    "mpegts": "video/mp2t",
    "mpeg": "video/mpeg",
    "flv": "video/x-flv",
    "asf": "video/x-ms-asf",
    "ogg": "video/ogg",
    "gif": "image/gif",
}
_UNKNOWN = "application/octet-stream"
FILE_MEDIA_TYPES = (*_BY_CONTAINER.values(), "video/webm", _UNKNOWN)
_WEBM_CODECS = frozenset({"vp8", "vp9", "av1"})


def video_media_type(container: str | None, codec: str | None) -> str:
    """The type of a probed file; before the probe, or for the unknown, bytes without meaning.

    What the uploader called it is never believed: a page served from here could act as ours.
    """
    if container == "matroska" and codec in _WEBM_CODECS:
        return "video/webm"
    return _BY_CONTAINER.get(container or "", _UNKNOWN)


class StoredFileResponse(FileResponse):
    """A stored file, whole or in ranges (206, 416), never sniffed for another type."""

    def __init__(
        self,
        stored: StoredFile,
        media_type: str,
        *,
        etag: str,
        filename: str | None = None,
        max_age_s: int,
    ) -> None:
        super().__init__(
            stored.path,
            media_type=media_type,
            stat_result=stored.stat,
            filename=filename,
            content_disposition_type="inline",
            headers={
                "x-content-type-options": "nosniff",
                "cache-control": f"private, max-age={max_age_s}",
                "etag": f'"{etag}"',
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, with the refusals of a bad range as problems."""
        refused = False

        async def send_problems(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in _RANGE_PROBLEMS:
                refused = True
                status = message["status"]
                content_range = Headers(raw=message["headers"]).get("content-range")
                headers = {"content-range": content_range} if content_range else {}
                problem = Problem(status, *_RANGE_PROBLEMS[status], headers=headers)
                request_id = Request(scope).state.request_id
                await problem_response(problem, request_id)(scope, receive, send)
            elif not refused:
                await send(message)

        await super().__call__(scope, receive, send_problems)
