"""`/v1/uploads`: resumable uploads by the tus protocol."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import format_datetime
from typing import Annotated, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Request, Response

from app.catalog.errors import VideoNotFound
from app.errors import InvalidRequest, UnsupportedMediaType
from app.routes import tus
from app.routes.dependencies import (
    ClockDep,
    CollectionName,
    IngestDep,
    LibraryDep,
    ModelMatchDep,
    Owner,
    UploadId,
    UploadsDep,
)
from app.routes.error_responses import problem_responses
from app.routes.files import BINARY_SCHEMA
from app.routes.request_bodies import declared_length, receive_body
from app.routes.responses import job_answer, resumable_upload_answer, video_answer
from app.services.ingest.chunk import Chunk
from app.services.ingest.resumable_uploads import ResumableUploads, UploadProgress
from xclip_search import schemas

router = APIRouter(prefix="/v1", tags=[tus.TAG], route_class=tus.TusRoute)

_SPEAKS_TUS = [Depends(tus.speaks_tus)]
Length = Annotated[
    int | None,
    Header(alias="upload-length", ge=1, le=2**63 - 1, description="size of the file in bytes"),
]
Deferred = Annotated[
    Literal["1"] | None,
    Header(
        alias="upload-defer-length",
        description="instead of upload-length: the size is told with a later chunk",
    ),
]
LengthTold = Annotated[
    int | None,
    Header(
        alias="upload-length",
        ge=1,
        le=2**63 - 1,
        description="size of the file in bytes, if it was not told before",
    ),
]
Offset = Annotated[
    int,
    Header(
        alias="upload-offset",
        ge=0,
        le=2**63 - 1,
        description="how many bytes of the file come before the chunk",
    ),
]
Described = Annotated[
    str | None,
    Header(
        alias="upload-metadata",
        max_length=tus.MAX_METADATA_LENGTH,
        description="`filename BASE64,filetype BASE64,metadata BASE64`, each of which may be left "
        "out; `metadata` is a JSON object",
    ),
]
Checked = Annotated[
    str | None,
    Header(
        alias="upload-checksum",
        description="`sha256 BASE64` or another algorithm of OPTIONS /v1/uploads: the digest of "
        "the chunk, which then counts whole or not at all",
    ),
]


@router.options(
    "/uploads",
    status_code=204,
    responses={
        204: {
            "headers": tus.headers_of(
                "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"
            )
        }
    },
)
async def get_upload_abilities(uploads: UploadsDep) -> Response:
    """The version and the extensions of the protocol that are spoken here."""
    return Response(status_code=204, headers=tus.abilities(uploads.max_bytes))


@router.post(
    "/collections/{collection}/uploads",
    status_code=201,
    dependencies=_SPEAKS_TUS,
    responses={
        201: {"headers": tus.headers_of("Location", *tus.PROGRESS_HEADERS)},
        **problem_responses(404, 409, 412, 413, 422, 507),
    },
)
def create_upload(
    response: Response,
    models: ModelMatchDep,
    uploads: UploadsDep,
    collection: CollectionName,
    owner: Owner,
    upload_length: Length = None,
    upload_defer_length: Deferred = None,
    upload_metadata: Described = None,
) -> schemas.ResumableUploadAnswer:
    """Announce a video that will come in chunks, to the address in Location."""
    if (upload_length is None) == (upload_defer_length is None):
        raise InvalidRequest("Give Upload-Length, or Upload-Defer-Length: 1 to tell it later.")
    models.check(collection)
    new = tus.parse_metadata(upload_metadata, upload_length)
    progress = uploads.create(collection, owner, new)
    response.headers.update(_headers(progress))
    response.headers["location"] = f"/v1/uploads/{progress.upload.id}"
    return resumable_upload_answer(progress, None, None)


@router.head(
    "/uploads/{upload_id}",
    response_class=Response,
    dependencies=_SPEAKS_TUS,
    responses={
        200: {"headers": tus.headers_of("Upload-Metadata", *tus.PROGRESS_HEADERS)},
        **problem_responses(404, 410, 412, 422, 423),
    },
)
def get_upload_offset(uploads: UploadsDep, owner: Owner, upload_id: UploadId) -> Response:
    """How much is here for certain, in Upload-Offset: a client goes on from there."""
    progress = uploads.settle(upload_id, owner)
    headers = {
        **_headers(progress),
        "upload-metadata": tus.metadata_header(progress.upload),
        "cache-control": "no-store",
    }
    return Response(status_code=200, headers=headers)


@router.get("/uploads/{upload_id}", responses=problem_responses(404, 410, 422))
def get_upload(
    uploads: UploadsDep,
    ingest: IngestDep,
    library: LibraryDep,
    clock: ClockDep,
    owner: Owner,
    upload_id: UploadId,
) -> schemas.ResumableUploadAnswer:
    """How far an upload is; once it is complete, the video and the job it became."""
    progress = uploads.look(upload_id, owner)
    upload = progress.upload
    if upload.video_id is None or upload.job_id is None:
        return resumable_upload_answer(progress, None, None)
    job = job_answer(ingest.job(upload.job_id), clock.now())
    try:
        video = video_answer(library.video(upload.collection, upload.video_id))
    except VideoNotFound:
        return resumable_upload_answer(progress, None, job)
    return resumable_upload_answer(progress, video, job)


@router.patch(
    "/uploads/{upload_id}",
    status_code=204,
    dependencies=_SPEAKS_TUS,
    responses={
        204: {"headers": tus.headers_of(*tus.PROGRESS_HEADERS)},
        **problem_responses(400, 404, 409, 410, 412, 413, 415, 422, 423, 460, 507),
    },
    openapi_extra={"requestBody": {"content": {tus.CHUNK_TYPE: {"schema": BINARY_SCHEMA}}}},
)
async def append_chunk(
    request: Request,
    uploads: UploadsDep,
    owner: Owner,
    upload_id: UploadId,
    upload_offset: Offset,
    upload_checksum: Checked = None,
    upload_length: LengthTold = None,
) -> Response:
    """Add the chunk that begins at Upload-Offset; the last one makes a video of the upload."""
    if request.headers.get("content-type") != tus.CHUNK_TYPE:
        raise UnsupportedMediaType(f"Send chunks as {tus.CHUNK_TYPE}.")
    checksum = tus.parse_checksum(upload_checksum)
    chunk = await anyio.to_thread.run_sync(
        uploads.begin, upload_id, owner, upload_offset, checksum, upload_length
    )
    if chunk is None:
        progress = await anyio.to_thread.run_sync(uploads.look, upload_id, owner)
    else:
        try:
            await _receive(request, uploads, chunk)
            progress = await anyio.to_thread.run_sync(uploads.finish, chunk)
        finally:
            chunk.close()
    return Response(status_code=204, headers=_headers(progress))


@router.delete(
    "/uploads/{upload_id}",
    status_code=204,
    dependencies=_SPEAKS_TUS,
    responses=problem_responses(404, 410, 412, 422, 423),
)
def delete_upload(uploads: UploadsDep, owner: Owner, upload_id: UploadId) -> None:
    """Forget an upload and what has come of it; a video that it became stays."""
    uploads.remove(upload_id, owner)


async def _receive(request: Request, uploads: ResumableUploads, chunk: Chunk) -> None:
    """Bring the body into the chunk; whatever ends it early, what has come is settled first."""
    request.state.body.max_bytes = chunk.left
    try:
        await anyio.to_thread.run_sync(chunk.expect, declared_length(request))
        await receive_body(request, chunk.write)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(uploads.break_off, chunk, error)
        raise


def _headers(progress: UploadProgress) -> Mapping[str, str]:
    upload = progress.upload
    headers = {"upload-offset": str(progress.offset)}
    headers |= (
        {"upload-defer-length": "1"}
        if upload.length is None
        else {"upload-length": str(upload.length)}
    )
    if upload.video_id is None or upload.job_id is None:
        headers["upload-expires"] = format_datetime(upload.expires_at, usegmt=True)
    else:
        headers |= {"x-video-id": upload.video_id, "x-job-id": upload.job_id}
    return headers
