"""Zero-shot labels: over what is indexed, and over an upload that is not kept."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter, Request

from app import schemas
from app.errors import problem_responses
from app.media import IncomingFile
from app.routes.dependencies import CollectionName, Services, ServicesOf
from app.routes.multipart import Form, form_body, parse_fields, receive_form
from app.routes.shapes import classify_answer, clip_answer

router = APIRouter(prefix="/v1", tags=["classify"])


@router.post(
    "/collections/{collection}/classify", responses=problem_responses(404, 409, 413, 422, 502)
)
def classify(
    services: ServicesOf, collection: CollectionName, body: schemas.ClassifyRequest
) -> schemas.ClassifyAnswer:
    """Label indexed videos or segments; nothing is decoded again."""
    if body.segment_ids is not None:
        found = services.classify.segments(collection, body.labels, body.segment_ids)
    else:
        found = services.classify.videos(collection, body.labels, body.video_ids)
    return classify_answer(body.labels, found)


@router.post(
    "/classify",
    openapi_extra=form_body(schemas.ClipRequest),
    responses=problem_responses(413, 415, 422, 502, 507),
)
async def classify_clip(request: Request, services: ServicesOf) -> schemas.ClipAnswer:
    """Label a video that is sent along and forgotten."""
    incoming = await anyio.to_thread.run_sync(
        services.media.receive, services.settings.max_upload_bytes
    )
    try:
        form = await receive_form(request, incoming, fields=schemas.ClipRequest)
        return await anyio.to_thread.run_sync(_classify_clip, services, incoming, form)
    finally:
        incoming.discard()


def _classify_clip(services: Services, incoming: IncomingFile, form: Form) -> schemas.ClipAnswer:
    fields = parse_fields(form, schemas.ClipRequest)
    window_s, stride_s = services.library.segmentation(fields.window_s, fields.stride_s)
    labelled = services.classify.clip(incoming.path, fields.labels, window_s, stride_s)
    return clip_answer(form.filename, fields.labels, services.settings.model, labelled)
