"""`/v1/uploads`: resumable uploads by the tus protocol."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import format_datetime
from typing import Annotated

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Request, Response

from app.catalog.errors import VideoNotFound
from app.errors import UnsupportedMediaType
from app.routes import tus
from app.routes.dependencies import CollectionName, Owner, Services, ServicesOf, UploadId
from app.routes.error_responses import problem_responses
from app.routes.request_bodies import declared_length, receive_body
from app.routes.responses import job_answer, resumable_upload_answer, video_answer
from app.services.ingest.chunk import Chunk
from app.services.ingest.resumable_uploads import UploadProgress
from xclip_search import schemas

router = APIRouter(prefix="/v1", tags=["uploads"], route_class=tus.TusRoute)

_SPEAKS_TUS = [Depends(tus.speaks_tus)]
Length = Annotated[int, Header(alias="upload-length", ge=1, le=2**63 - 1)]
Offset = Annotated[int, Header(alias="upload-offset", ge=0, le=2**63 - 1)]
Described = Annotated[str | None, Header(alias="upload-metadata")]
Checked = Annotated[str | None, Header(alias="upload-checksum")]


@router.options("/uploads", status_code=204)
async def tus_abilities(services: ServicesOf) -> Response:
    """The version and the extensions of the protocol that are spoken here."""
    return Response(status_code=204, headers=tus.abilities(services.settings.max_upload_bytes))


@router.post(
    "/collections/{collection}/uploads",
    status_code=201,
    dependencies=_SPEAKS_TUS,
    responses=problem_responses(404, 412, 413, 422, 507),
)
def create_upload(
    response: Response,
    services: ServicesOf,
    collection: CollectionName,
    owner: Owner,
    upload_length: Length,
    upload_metadata: Described = None,
) -> schemas.ResumableUploadAnswer:
    """Announce a video that will come in pieces, to the address in Location."""
    new = tus.parse_metadata(upload_metadata, upload_length)
    progress = services.uploads.create(collection, owner, new)
    response.headers.update(_headers(progress))
    response.headers["location"] = f"/v1/uploads/{progress.upload.id}"
    return resumable_upload_answer(progress, None, None)


@router.head(
    "/uploads/{upload_id}",
    dependencies=_SPEAKS_TUS,
    responses=problem_responses(404, 410, 412, 422, 423),
)
def get_offset(services: ServicesOf, owner: Owner, upload_id: UploadId) -> Response:
    """How much is here for certain, in Upload-Offset: a client goes on from there."""
    progress = services.uploads.settle(upload_id, owner)
    headers = {
        **_headers(progress),
        "upload-metadata": tus.metadata_header(progress.upload),
        "cache-control": "no-store",
    }
    return Response(status_code=200, headers=headers)


@router.get("/uploads/{upload_id}", responses=problem_responses(404, 410, 422))
def get_upload(
    services: ServicesOf, owner: Owner, upload_id: UploadId
) -> schemas.ResumableUploadAnswer:
    """How far an upload is; once it is complete, the video and the job it became."""
    progress = services.uploads.look(upload_id, owner)
    upload = progress.upload
    if upload.video_id is None or upload.job_id is None:
        return resumable_upload_answer(progress, None, None)
    job = job_answer(services.ingest.job(upload.job_id), services.clock.now())
    try:
        video = video_answer(services.library.video(upload.collection, upload.video_id))
    except VideoNotFound:
        return resumable_upload_answer(progress, None, job)
    return resumable_upload_answer(progress, video, job)


@router.patch(
    "/uploads/{upload_id}",
    status_code=204,
    dependencies=_SPEAKS_TUS,
    responses=problem_responses(400, 404, 409, 410, 412, 413, 415, 422, 423, 460, 507),
    openapi_extra={
        "requestBody": {
            "content": {tus.PIECE_TYPE: {"schema": {"type": "string", "format": "binary"}}}
        }
    },
)
async def append_piece(
    request: Request,
    services: ServicesOf,
    owner: Owner,
    upload_id: UploadId,
    upload_offset: Offset,
    upload_checksum: Checked = None,
) -> Response:
    """Add the piece that begins at Upload-Offset; the last one makes a video of the upload."""
    if request.headers.get("content-type") != tus.PIECE_TYPE:
        raise UnsupportedMediaType(f"Send pieces as {tus.PIECE_TYPE}.")
    checksum = tus.parse_checksum(upload_checksum)
    piece = await anyio.to_thread.run_sync(
        services.uploads.begin, upload_id, owner, upload_offset, checksum
    )
    if piece is None:
        progress = await anyio.to_thread.run_sync(services.uploads.look, upload_id, owner)
    else:
        try:
            await _receive(request, services, piece)
            progress = await anyio.to_thread.run_sync(services.uploads.finish, piece)
        finally:
            piece.close()
        if progress.upload.video_id is not None:
            services.metrics.upload_bytes.inc(progress.upload.length)
    return Response(status_code=204, headers=_headers(progress))


@router.delete(
    "/uploads/{upload_id}",
    status_code=204,
    dependencies=_SPEAKS_TUS,
    responses=problem_responses(404, 410, 412, 422, 423),
)
def delete_upload(services: ServicesOf, owner: Owner, upload_id: UploadId) -> None:
    """Forget an upload and what has come of it; a video that it became stays."""
    services.uploads.remove(upload_id, owner)


async def _receive(request: Request, services: Services, piece: Chunk) -> None:
    """Bring the body into the piece; whatever ends it early, what has come is settled first."""
    request.state.body.max_bytes = piece.left
    try:
        await anyio.to_thread.run_sync(piece.expect, declared_length(request))
        await receive_body(request, piece.write)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(services.uploads.break_off, piece, error)
        raise


def _headers(progress: UploadProgress) -> Mapping[str, str]:
    upload = progress.upload
    headers = {"upload-offset": str(progress.offset), "upload-length": str(upload.length)}
    if upload.video_id is None or upload.job_id is None:
        headers["upload-expires"] = format_datetime(upload.expires_at, usegmt=True)
    else:
        headers |= {"x-video-id": upload.video_id, "x-job-id": upload.job_id}
    return headers
