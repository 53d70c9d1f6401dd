"""`…/classify`: zero-shot labels of indexed videos, or of an upload that is not kept."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter, Request

from app.routes.dependencies import ClassifyDep, CollectionName, IncomingFilesDep
from app.routes.error_responses import problem_responses
from app.routes.json_bodies import JsonRoute
from app.routes.multipart import MultipartForm, form_body, parse_fields, receive_form
from app.routes.responses import classify_answer, clip_answer
from app.services.classify.classify import Classify
from app.services.classify.types import ClassifyOptions, Part
from app.storage.media_store import IncomingFile
from xclip_search import schemas

router = APIRouter(prefix="/v1", tags=["classify"], route_class=JsonRoute)


@router.post(
    "/collections/{collection}/classify",
    responses=problem_responses(404, 409, 413, 422, 502),
    response_model_exclude_none=True,
)
def classify_segments(
    labeller: ClassifyDep, collection: CollectionName, body: schemas.ClassifyRequest
) -> schemas.ClassifyAnswer:
    """Label indexed videos or segments; nothing is decoded again."""
    part = Part(video_ids=body.video_ids, segment_ids=body.segment_ids, filter=body.filter)
    return classify_answer(labeller.stored(collection, part, _options(body)))


@router.post(
    "/classify",
    openapi_extra=form_body(schemas.ClipRequest),
    responses=problem_responses(404, 409, 413, 415, 422, 502, 507),
    response_model_exclude_none=True,
)
async def classify_clip(
    request: Request, labeller: ClassifyDep, files: IncomingFilesDep
) -> schemas.ClipAnswer:
    """Label a video that is sent along and forgotten."""
    async with files.receive() as incoming:
        form = await receive_form(request, incoming, fields=schemas.ClipRequest)
        return await anyio.to_thread.run_sync(_classify_clip, labeller, incoming, form)


def _classify_clip(
    labeller: Classify, incoming: IncomingFile, form: MultipartForm
) -> schemas.ClipAnswer:
    fields = parse_fields(form, schemas.ClipRequest)
    options = _options(fields)
    labelled = labeller.clip(incoming.path, options, fields.window_s, fields.stride_s)
    return clip_answer(form.filename, labelled)


def _options(body: schemas.LabelRequest) -> ClassifyOptions:
    return ClassifyOptions(
        labels=body.labels,
        label_set=body.label_set,
        templates=body.templates,
        top=body.top,
        segments=body.segments,
        mode=body.mode,
        none_of_these=body.none_of_these,
    )
