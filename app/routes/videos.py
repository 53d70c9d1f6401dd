"""`/v1/collections/{collection}/videos`: uploads, the library, playback, pictures, segments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Query, Request, Response

from app import failpoints
from app.catalog.errors import NotFound
from app.catalog.records import VideoStatus
from app.routes.deletion_responses import deleted_answer, deleted_responses
from app.routes.dependencies import (
    ClockDep,
    CollectionName,
    CurrentPermit,
    Cursor,
    IncomingFilesDep,
    IngestDep,
    JobWatcherDep,
    LibraryDep,
    Limit,
    ModelMatchDep,
    Owner,
    QuotasDep,
    UrlFetcherDep,
    VideoId,
)
from app.routes.error_responses import problem_responses
from app.routes.files import (
    FILE_MEDIA_TYPES,
    FileHeaders,
    file_response,
    file_responses,
    video_media_type,
)
from app.routes.json_bodies import JsonRoute
from app.routes.multipart import form_body, parse_fields, receive_form
from app.routes.prefer_header import Prefer, prefer_wait, wait_applied
from app.routes.responses import job_answer, not_taken, page_answer, segment_answer, video_answer
from app.routes.url_upload import also_json, names_url, receive_url
from app.services.ingest.incoming_files import IncomingFiles
from app.services.ingest.ingest import AcceptedUpload, Sender, Upload
from app.services.ingest.job_watcher import JobWatcher
from app.services.library.library import LibraryService
from app.storage.object_store import OpenObject
from xclip_search import schemas

router = APIRouter(
    prefix="/v1/collections/{collection}/videos", tags=["videos"], route_class=JsonRoute
)

_CONTENT_RESPONSES = file_responses(FILE_MEDIA_TYPES, 404, 422)
_PICTURE_RESPONSES = file_responses(["image/webp"], 404, 422)
_INDEX_RESPONSES = file_responses(["text/vtt"], 404, 422)
# Not for longer: who may see a video today may not for ever.
_FOR_A_DAY = "private, max-age=86400, immutable"
_NOT_AT_ALL = "private, max-age=0"
IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[ -~]{1,255}$",
        description="A request sent again under its key within 24 hours gets the first answer "
        "again and changes nothing.",
    ),
]
Moment = Annotated[
    float | None,
    Query(
        ge=0,
        allow_inf_nan=False,
        description="seconds from the start of the video; default: the first segment's middle",
    ),
]
StatusFilter = Annotated[
    VideoStatus | None, Query(description="only videos of this status; default: all")
]


async def _received(
    request: Request, files: IncomingFilesDep, fetcher: UrlFetcherDep
) -> AbstractAsyncContextManager[Upload]:
    """The video of the request, not yet received: a file of a form, or one that a URL names."""
    if names_url(request):
        return receive_url(request, fetcher)
    return _receive_multipart(request, files)


@asynccontextmanager
async def _receive_multipart(request: Request, files: IncomingFiles) -> AsyncIterator[Upload]:
    """The file of a form, discarded afterwards unless it was kept."""
    async with files.receive() as incoming:
        failpoints.hit("upload_begun")
        form = await receive_form(request, incoming, fields=schemas.UploadFields)
        fields = parse_fields(form, schemas.UploadFields)
        yield Upload(incoming, form.filename, form.content_type, fields.metadata)


ReceivedUpload = Annotated[AbstractAsyncContextManager[Upload], Depends(_received)]


@router.post(
    "",
    status_code=202,
    openapi_extra=also_json(form_body(schemas.UploadFields)),
    responses={
        200: {"model": schemas.UploadAnswer},
        **problem_responses(403, 404, 409, 413, 415, 422, 502, 504, 507),
    },
)
async def upload_video(
    permit: CurrentPermit,
    response: Response,
    received: ReceivedUpload,
    models: ModelMatchDep,
    quotas: QuotasDep,
    library: LibraryDep,
    ingest: IngestDep,
    watcher: JobWatcherDep,
    clock: ClockDep,
    collection: CollectionName,
    owner: Owner,
    prefer: Prefer,
    idempotency_key: IdempotencyKey = None,
) -> schemas.UploadAnswer:
    """Take in a video: 202 and a job, or 200 if these bytes are already there."""
    await anyio.to_thread.run_sync(models.check, collection)
    await anyio.to_thread.run_sync(quotas.check, owner)
    sender = Sender(owner, idempotency_key) if idempotency_key else None
    with ingest.serving(sender):
        async with received as upload:
            admission = await anyio.to_thread.run_sync(
                partial(ingest.admit, collection, upload, owner=owner, sender=sender)
            )
    if (seconds := prefer_wait(prefer)) is not None:
        permit.leave(served=True)  # the video is here: others may be received
        with watcher.waiting(owner) as may:
            admission = await _wait(watcher, library, admission, seconds if may else 0.0)
        if may:
            response.headers.update(wait_applied(seconds))
    return _admission_answer(response, admission, clock.now())


async def _wait(
    watcher: JobWatcher, library: LibraryService, admission: AcceptedUpload, seconds: float
) -> AcceptedUpload:
    """The same once its job has ended, or as it is when so many seconds are over."""
    job = await watcher.wait(admission.job.id, seconds)
    try:
        video = await anyio.to_thread.run_sync(
            library.video, admission.video.collection, admission.video.id
        )
    except NotFound:  # deleted while we waited: the job says so, too
        video = admission.video
    return replace(admission, video=video, job=job)


def _admission_answer(
    response: Response, admission: AcceptedUpload, now: datetime
) -> schemas.UploadAnswer:
    if admission.replayed:
        response.headers["idempotent-replay"] = "true"
    response.status_code = 202 if admission.queued else 200
    response.headers["location"] = f"/v1/jobs/{admission.job.id}"
    return schemas.UploadAnswer(
        video=video_answer(admission.video),
        job=job_answer(admission.job, now),
        already_here=not admission.queued,
        metadata_not_taken=not_taken(admission.metadata, admission.video.metadata),
    )


@router.get("", responses=problem_responses(404, 422))
def list_videos(
    library: LibraryDep,
    collection: CollectionName,
    status: StatusFilter = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> schemas.Page[schemas.VideoAnswer]:
    """A collection's videos, newest first."""
    return page_answer(library.videos(collection, status, cursor, limit), video_answer)


@router.get("/{video_id}", responses=problem_responses(404, 422))
def get_video(
    library: LibraryDep, collection: CollectionName, video_id: VideoId
) -> schemas.VideoAnswer:
    """One video."""
    return video_answer(library.video(collection, video_id))


@router.patch("/{video_id}", responses=problem_responses(404, 413, 422))
def patch_video(
    library: LibraryDep,
    collection: CollectionName,
    video_id: VideoId,
    body: schemas.MetadataPatch,
) -> schemas.VideoAnswer:
    """Replace a video's metadata."""
    return video_answer(library.describe_video(collection, video_id, body.metadata))


@router.delete(
    "/{video_id}", status_code=204, response_model=None, responses=deleted_responses(404, 422)
)
def delete_video(library: LibraryDep, collection: CollectionName, video_id: VideoId) -> Response:
    """Delete a video; 204 says that all of it is off the disk, 202 how much is not yet."""
    return deleted_answer(library.delete_video(collection, video_id))


@router.get("/{video_id}/segments", responses=problem_responses(404, 422))
def list_segments(
    library: LibraryDep, collection: CollectionName, video_id: VideoId
) -> schemas.Page[schemas.SegmentAnswer]:
    """All of a video's segments in order of time; none before its job has succeeded."""
    video = library.video(collection, video_id)
    segments = library.segments(collection, video_id)
    items = [segment_answer(video, segment) for segment in segments]
    return schemas.Page(items=items, next_cursor=None)


@router.head("/{video_id}/content", include_in_schema=False)
@router.get(
    "/{video_id}/content",
    response_class=Response,
    responses=_CONTENT_RESPONSES,
)
def get_content(
    request: Request, library: LibraryDep, collection: CollectionName, video_id: VideoId
) -> Response:
    """The bytes as they were uploaded, whole or by Range."""
    video = library.video(collection, video_id)
    described = FileHeaders(
        video_media_type(video.container, video.codec),
        video.sha256,
        _FOR_A_DAY if video.container else _NOT_AT_ALL,  # the probe will know the type
        video.filename,
    )
    return file_response(request, library.content(video), described)


@router.head("/{video_id}/thumbnail", include_in_schema=False)
@router.get(
    "/{video_id}/thumbnail",
    response_class=Response,
    responses=_PICTURE_RESPONSES,
)
def get_thumbnail(
    request: Request,
    library: LibraryDep,
    collection: CollectionName,
    video_id: VideoId,
    t: Moment = None,
) -> Response:
    """A picture of the segment whose middle is nearest to `t` seconds, or of the first one."""
    stored = library.thumbnail(collection, video_id, t)
    return file_response(request, stored, _picture(stored, "image/webp"))


@router.head("/{video_id}/sprite", include_in_schema=False)
@router.get(
    "/{video_id}/sprite",
    response_class=Response,
    responses=_PICTURE_RESPONSES,
)
def get_sprite(
    request: Request, library: LibraryDep, collection: CollectionName, video_id: VideoId
) -> Response:
    """Small pictures from all over the video on one sheet."""
    stored = library.sprite(collection, video_id, index=False)
    return file_response(request, stored, _picture(stored, "image/webp"))


@router.head("/{video_id}/sprite.vtt", include_in_schema=False)
@router.get(
    "/{video_id}/sprite.vtt",
    response_class=Response,
    responses=_INDEX_RESPONSES,
)
def get_sprite_index(
    request: Request, library: LibraryDep, collection: CollectionName, video_id: VideoId
) -> Response:
    """Which part of the sprite sheet shows which seconds, as WebVTT."""
    stored = library.sprite(collection, video_id, index=True)
    return file_response(request, stored, _picture(stored, "text/vtt"))


def _picture(stored: OpenObject, media_type: str) -> FileHeaders:
    return FileHeaders(media_type, stored.stat.version, _FOR_A_DAY)
