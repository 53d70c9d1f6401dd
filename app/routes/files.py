"""File responses (RFC 9110): conditional requests, byte ranges, and a type that we chose.

A request for several ranges at once is answered with the whole file, which the RFC allows: no
player sends one, and an answer in parts would cost more than it saves.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

import anyio
import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.errors import PreconditionFailed, RangeNotSatisfiable
from app.routes.error_responses import problem_responses
from app.storage.object_store import OpenObject

_BY_CONTAINER: Mapping[str, str] = {
    "mp4": "video/mp4",
    "webm": "video/webm",
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
FILE_MEDIA_TYPES = (*_BY_CONTAINER.values(), _UNKNOWN)
_WEBM_CODECS = frozenset({"vp8", "vp9", "av1"})

BINARY_SCHEMA: Final = {"type": "string", "format": "binary"}
TEXT_SCHEMA: Final = {"type": "string"}

_CHUNK_BYTES: Final = 256 << 10
_RANGE = re.compile(r"bytes=[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*", re.IGNORECASE)
_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def video_media_type(container: str | None, codec: str | None) -> str:
    """The type of a probed file; before the probe, or for the unknown, bytes without meaning.

    What the uploader called it is never believed: a page served from here could act as ours.
    """
    if container == "matroska" and codec in _WEBM_CODECS:
        return "video/webm"
    return _BY_CONTAINER.get(container or "", _UNKNOWN)


@dataclass(frozen=True, slots=True)
class FileHeaders:
    """What the headers say of a file besides its length and its age.

    etag : without its quotes; it must differ whenever a byte does
    """

    media_type: str
    etag: str
    cache: str
    filename: str | None = None
    extra: Mapping[str, str] | None = None


def file_responses(media_types: Iterable[str], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that answers with a file, or these statuses."""
    content = {name: {"schema": _body_schema(name)} for name in media_types}
    return {
        200: {"content": content, "description": "The whole file"},
        206: {"content": content, "description": "The requested range"},
        304: {"description": "The client has the current file already"},
        **problem_responses(412, 416, *statuses),
    }


def _body_schema(media_type: str) -> dict[str, str]:
    """The OpenAPI schema of a file's bytes."""
    return TEXT_SCHEMA if media_type.startswith("text/") else BINARY_SCHEMA


def file_response(request: Request, content: OpenObject, described: FileHeaders) -> Response:
    """The answer to a GET or HEAD: 200, 206 or 304. Closes the file in the end.

    Raises PreconditionFailed, RangeNotSatisfiable.
    """
    headers = _headers(content, described)
    given = request.headers
    refused = _precondition(given, headers)
    if refused is not None:
        content.close()
        if refused == 304:
            return Response(status_code=304, headers=_without_content(headers))
        raise PreconditionFailed("The file is another one by now.")
    size = content.stat.size_bytes
    chosen = _range(given, headers, size) if request.method == "GET" else None
    if chosen == _UNSATISFIABLE:
        content.close()
        detail = f"The file has {size} bytes; the Range header asks for none of them."
        raise RangeNotSatisfiable(detail, headers={"content-range": f"bytes */{size}"})
    start, end = chosen or (0, size)
    headers["content-length"] = str(end - start)
    if chosen:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    if request.method == "HEAD":
        content.close()
        return Response(headers=headers)
    chunks = _chunks(content, start, end)
    return StreamingResponse(chunks, 206 if chosen else 200, headers=headers)


def _headers(content: OpenObject, described: FileHeaders) -> dict[str, str]:
    headers = {
        "content-type": described.media_type,
        "x-content-type-options": "nosniff",
        "accept-ranges": "bytes",
        "cache-control": described.cache,
        "etag": f'"{described.etag}"',
        "last-modified": formatdate(content.stat.modified_s, usegmt=True),
        **(described.extra or {}),
    }
    if described.filename is not None:
        encoded = quote(described.filename)
        plain = f'filename="{encoded}"' if encoded == described.filename else None
        named = plain or f"filename*=utf-8''{encoded}"
        headers["content-disposition"] = f"inline; {named}"
    return headers


def _without_content(headers: Mapping[str, str]) -> dict[str, str]:
    """What a 304 says: what may be new of a stored answer, and nothing of its content."""
    kept = ("cache-control", "etag", "last-modified")
    return {name: headers[name] for name in kept}


def _precondition(given: Headers, headers: Mapping[str, str]) -> int | None:
    """The status that the conditions of RFC 9110, 13.2.2, ask for, if they stop the request."""
    etag, modified = headers["etag"], headers["last-modified"]
    if (wanted := _joined(given, "if-match")) is not None:
        if not _names(wanted, etag, weakly=False):
            return 412
    elif (limit := _date(given.get("if-unmodified-since"))) and limit < _known(modified):
        return 412
    if (held := _joined(given, "if-none-match")) is not None:
        return 304 if _names(held, etag, weakly=True) else None
    since = _date(given.get("if-modified-since"))
    return 304 if since and _known(modified) <= since else None


def _joined(given: Headers, name: str) -> str | None:
    """The lines of a header as one list."""
    return ",".join(given.getlist(name)) if name in given else None


def _names(tags: str, etag: str, *, weakly: bool) -> bool:
    """Whether a list of entity tags names `etag`, which is strong; `*` names every one."""
    if tags.strip() == "*":
        return True
    return any(tag == etag and (weakly or not weak) for weak, tag in _TAG.findall(tags))


_UNSATISFIABLE: Final = (0, 0)


def _range(given: Headers, headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None for all of it, _UNSATISFIABLE for nothing.

    What cannot be read is ignored (RFC 9110, 14.2), and so are other units than bytes.
    """
    found = _RANGE.fullmatch(_joined(given, "range") or "")
    condition = given.get("if-range")
    if not found or (condition is not None and not _is_current(condition, headers)):
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        count = min(_number(suffix), size)
        return (size - count, size) if count else _UNSATISFIABLE
    start = _number(first)
    if last and _number(last) < start:
        return None
    end = min(_number(last) + 1, size) if last else size
    return (start, end) if start < size else _UNSATISFIABLE


def _is_current(condition: str, headers: Mapping[str, str]) -> bool:
    """Whether an If-Range names these very bytes: by a strong tag, or by the exact date."""
    if '"' in condition:
        return condition.strip() == headers["etag"]
    return _date(condition) == _known(headers["last-modified"])


def _number(digits: str) -> int:
    """A whole number of any length; those past every file are all the same."""
    return int(digits[:19]) if len(digits.lstrip("0")) < 19 else 10**18


def _date(value: str | None) -> datetime | None:
    """An HTTP date; None where there is none, or what is there is no date."""
    try:
        found = parsedate_to_datetime(value or "")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _known(value: str) -> datetime:
    return parsedate_to_datetime(value)


async def _chunks(content: OpenObject, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        while start < end:
            until = min(start + _CHUNK_BYTES, end)
            chunk = await anyio.to_thread.run_sync(content.read_range, start, until)
            if not chunk:
                raise OSError("the file is shorter than it was")
            start += len(chunk)
            yield chunk
    finally:
        with anyio.CancelScope(shield=True):
            content.close()
