"""Uploads: small videos in one request, larger ones resumable in chunks (tus)."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import JsonValue

from xclip_search import schemas
from xclip_search.errors import ApiError, ServiceAway
from xclip_search.library import DEFAULT, Metadata
from xclip_search.sources import Source, VideoFile
from xclip_search.steps import (
    Call,
    FileChunk,
    Flow,
    FormBody,
    Pause,
    ask,
    get,
    label,
    parse,
    source_of,
    within,
)
from xclip_search.unfinished import Unfinished

CHUNK_BYTES = 8 << 20
_TUS = {"tus-resumable": "1.0.0"}
_CHUNK_TYPE = "application/offset+octet-stream"
_GONE = frozenset({404, 410})
_FAILURES_IN_A_ROW = 5
_SETTLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A video, the job that makes it searchable, and whether its bytes are new to the service."""

    video: schemas.VideoAnswer
    job: schemas.JobAnswer
    is_new: bool


def upload(
    file: VideoFile,
    *,
    collection: str = DEFAULT,
    metadata: Metadata | None = None,
    filename: str | None = None,
    on_progress: Callable[[int], object] | None = None,
    unfinished: Unfinished | None = None,
) -> Flow[Uploaded]:
    """Send a video; however often the connection breaks, it is ingested once.

    file : a path, bytes, or a file that was opened in binary mode, which stays open
    metadata : any JSON object; searches can filter by it
    filename : the video's name; by default the file's
    on_progress : called with the number of the file's bytes that have arrived
    unfinished : remembers unfinished uploads of paths, so that a later process can continue them

    Raises ApiError, with code file_changed if the file grows or shrinks meanwhile, and OSError if
    it cannot be read.
    """
    source = yield from source_of(file, filename)
    try:
        progressed = on_progress or (lambda _: None)
        return (yield from _sent(source, collection, metadata or {}, progressed, unfinished))
    finally:
        source.close()


def _sent(
    source: Source,
    collection: str,
    metadata: Metadata,
    on_progress: Callable[[int], object],
    unfinished: Unfinished | None,
) -> Flow[Uploaded]:
    size = source.size()
    if size <= CHUNK_BYTES:
        body = FormBody(source, {"metadata": dict(metadata)})
        uploaded = yield from _in_one(collection, body)
        on_progress(size)
        return uploaded
    upload_id, offset = yield from _begun(source, size, collection, metadata, unfinished)
    on_progress(offset)
    yield from _send_rest(upload_id, source, offset, size, on_progress)
    uploaded = yield from _completed(upload_id, size)
    if unfinished and isinstance(source.file, Path):
        unfinished.forget(source.file, collection, metadata)
    return uploaded


def _begun(
    source: Source,
    size: int,
    collection: str,
    metadata: Metadata,
    unfinished: Unfinished | None,
) -> Flow[tuple[str, int]]:
    """The id of the upload, and how much of it the service has: a remembered one or a new one."""
    if unfinished is None or not isinstance(source.file, Path):
        return (yield from _announce(source, size, collection, metadata)), 0
    upload_id = unfinished.find(source.file, collection, metadata)
    offset = (yield from _offset_if_known(upload_id)) if upload_id else None
    if upload_id is None or offset is None:
        upload_id, offset = (yield from _announce(source, size, collection, metadata)), 0
        unfinished.keep(upload_id, source.file, collection, metadata)
    return upload_id, offset


def upload_url(
    url: str,
    *,
    collection: str = DEFAULT,
    metadata: Metadata | None = None,
    filename: str | None = None,
) -> Flow[Uploaded]:
    """Have the service fetch a video; answers when it has.

    metadata : any JSON object; searches can filter by it
    filename : the video's name; by default what the URL or its answer says
    """
    body: dict[str, JsonValue] = {"url": url, "metadata": dict(metadata or {})}
    if filename is not None:
        body["filename"] = filename
    return (yield from _in_one(collection, body))


def _in_one(collection: str, body: FormBody | dict[str, JsonValue]) -> Flow[Uploaded]:
    """One request, under a key that makes its repetitions one."""
    call = Call(
        "POST",
        f"{within(collection)}/videos",
        headers={"idempotency-key": secrets.token_hex(16)},
        body=body,
        unhurried=True,
    )
    answer = yield from ask(call)
    found = parse(answer, schemas.UploadAnswer)
    return Uploaded(found.video, found.job, answer.status_code == httpx.codes.ACCEPTED)


def _announce(source: Source, size: int, collection: str, metadata: Metadata) -> Flow[str]:
    pairs = {"filename": label(source.name), "metadata": json.dumps(dict(metadata))}
    described = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in pairs.items())
    headers = {**_TUS, "upload-length": str(size), "upload-metadata": described}
    # announced twice, the first one is empty and expires
    answer = yield from ask(Call("POST", f"{within(collection)}/uploads", headers=headers))
    return parse(answer, schemas.ResumableUploadAnswer).id


def _offset_if_known(upload_id: str) -> Flow[int | None]:
    try:
        return (yield from _offset(upload_id))
    except ApiError as error:
        if error.status in _GONE:
            return None
        raise


def _offset(upload_id: str) -> Flow[int]:
    """How many bytes the service has on disk."""
    answer = yield from ask(Call("HEAD", f"/v1/uploads/{upload_id}", headers=_TUS))
    return _offset_in(answer)


def _send_rest(
    upload_id: str, source: Source, offset: int, size: int, on_progress: Callable[[int], object]
) -> Flow[None]:
    """Send chunk by chunk from `offset`; after a cut, resume where the service says it is."""
    failures = 0
    while offset < size:
        began_at = offset
        try:
            chunk = FileChunk(source, offset, min(CHUNK_BYTES, size - offset))
            if offset + chunk.length == size:  # else it would be taken for the whole
                source.check_still(size)
            offset = yield from _append(upload_id, chunk)
        except ApiError as error:
            cut = isinstance(error, ServiceAway) and error.passing
            if failures >= _FAILURES_IN_A_ROW or not (cut or error.status == httpx.codes.CONFLICT):
                raise
            yield Pause(_SETTLE_S)
            offset = yield from _offset(upload_id)
        else:
            if offset == began_at:
                raise ApiError("file_changed", f"{source.name} became shorter while it was sent.")
        failures = 0 if offset > began_at else failures + 1
        on_progress(offset)


def _append(upload_id: str, chunk: FileChunk) -> Flow[int]:
    headers = {**_TUS, "upload-offset": str(chunk.offset), "content-type": _CHUNK_TYPE}
    path = f"/v1/uploads/{upload_id}"
    call = Call("PATCH", path, headers=headers, body=chunk, repeatable=False, unhurried=True)
    return _offset_in((yield from ask(call)))


def _completed(upload_id: str, size: int) -> Flow[Uploaded]:
    """The result of an upload whose bytes have all arrived."""
    path = f"/v1/uploads/{upload_id}"
    found = yield from get(path, schemas.ResumableUploadAnswer)
    if not found.complete:  # the service died after the last byte; this makes it a video now
        headers = {**_TUS, "upload-offset": str(size), "content-type": _CHUNK_TYPE}
        yield from ask(Call("PATCH", path, headers=headers))
        found = yield from get(path, schemas.ResumableUploadAnswer)
    if found.video is None or found.job is None:
        raise ApiError("video_not_found", "The video was deleted right after the upload.")
    return Uploaded(found.video, found.job, found.job.created_at >= found.created_at)


def _offset_in(answer: httpx.Response) -> int:
    try:
        return int(answer.headers["upload-offset"])
    except (KeyError, ValueError):
        raise ApiError(
            "unexpected_answer", "The service does not report the upload's offset."
        ) from None
