"""`/v1/collections/{collection}/search`: moments by text, by example, or in sequence."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Request

from app.catalog.errors import InvalidFilter
from app.catalog.filters import parse_filter
from app.catalog.records import Job
from app.errors import DeadlineExceeded, InvalidRequest, JobDidNotSucceed
from app.routes.dependencies import CollectionName, Services, ServicesOf, VideoId
from app.routes.error_responses import problem_responses
from app.routes.multipart import MultipartForm, form_body, parse_fields, receive_form
from app.routes.responses import heatmap_answer, search_answer
from app.server.concurrency import Permit
from app.services.ingest.job_watcher import has_ended
from app.services.search.query import (
    ClipQuery,
    MomentQuery,
    Probe,
    SearchPage,
    SequenceQuery,
    SimilarSegmentQuery,
    TextQuery,
)
from app.storage.media_store import IncomingFile
from xclip_search import schemas

router = APIRouter(prefix="/v1/collections/{collection}", tags=["search"])

WITHIN_S = 30.0


@router.post("/search", responses=problem_responses(404, 409, 410, 413, 422, 502, 504))
async def search(
    request: Request, services: ServicesOf, collection: CollectionName, body: schemas.SearchRequest
) -> schemas.SearchAnswer:
    """The moments that the model finds most like what is asked, best first."""
    await _wait_for_job(request, services, collection, body)
    return await anyio.to_thread.run_sync(_search, services, collection, body)


@router.post("/search:batch", responses=problem_responses(404, 409, 410, 413, 422, 502, 504))
async def search_batch(
    request: Request,
    services: ServicesOf,
    collection: CollectionName,
    body: schemas.SearchBatchRequest,
) -> schemas.SearchBatchAnswer:
    """Several searches in one request, answered in their order; all or none succeed."""
    for query in body.queries:
        await _wait_for_job(request, services, collection, query)
    return await anyio.to_thread.run_sync(_search_batch, services, collection, body)


@router.post(
    "/search:clip",
    openapi_extra=form_body(schemas.SearchOptions),
    responses=problem_responses(404, 409, 410, 413, 415, 422, 502, 504, 507),
)
async def search_clip(
    request: Request, services: ServicesOf, collection: CollectionName
) -> schemas.SearchAnswer:
    """Moments like a clip that is sent along and forgotten."""
    await anyio.to_thread.run_sync(services.library.collection, collection)
    incoming = await anyio.to_thread.run_sync(
        services.media.receive, services.settings.max_upload_bytes
    )
    try:
        form = await receive_form(request, incoming, fields=schemas.SearchOptions)
        options = parse_fields(form, schemas.SearchOptions)
        await _wait_for_job(request, services, collection, options)
        return await anyio.to_thread.run_sync(
            _search_clip, services, collection, incoming, form, options
        )
    finally:
        incoming.discard()


@router.get("/videos/{video_id}/heatmap", responses=problem_responses(404, 409, 422, 502))
def heatmap(
    services: ServicesOf,
    collection: CollectionName,
    video_id: VideoId,
    q: Annotated[schemas.Text, Query(description="what is to be seen, in words")],
) -> schemas.HeatmapAnswer:
    """What a video scores for a text, over time."""
    return heatmap_answer(q, services.search.heatmap(collection, video_id, q))


def _search(
    services: Services, collection: str, body: schemas.SearchRequest
) -> schemas.SearchAnswer:
    texts = body.then or [text for text in (body.text,) if text is not None]
    question = _question(body, _probe(body), body.min_confidence)
    return search_answer(texts or [body.segment_id or ""], _ask(services, collection, question))


def _search_batch(
    services: Services, collection: str, body: schemas.SearchBatchRequest
) -> schemas.SearchBatchAnswer:
    # All texts at once: one turn of the model instead of one for each.
    asked = ((query.text, query.negative_text, *(query.then or ())) for query in body.queries)
    texts = {text for some in asked for text in some if text is not None}
    if texts:
        services.search.encode_ahead(sorted(texts))
    answers = []
    for number, query in enumerate(body.queries):
        try:
            answers.append(_search(services, collection, query))
        except InvalidFilter as error:
            error.inside = ("queries", number, "filter")
            raise
    return schemas.SearchBatchAnswer(answers=answers)


def _search_clip(
    services: Services,
    collection: str,
    incoming: IncomingFile,
    form: MultipartForm,
    options: schemas.SearchOptions,
) -> schemas.SearchAnswer:
    clip = ClipQuery(incoming.path, incoming.sync().sha256)
    question = _question(options, clip, None)
    return search_answer([form.filename], _ask(services, collection, question))


def _ask(services: Services, collection: str, question: MomentQuery) -> SearchPage:
    findings = services.search.find(collection, question)
    for stage in fields(findings.seconds):
        seconds = getattr(findings.seconds, stage.name)
        services.metrics.search_seconds.labels(stage.name).observe(seconds)
    return findings


def _probe(body: schemas.SearchRequest) -> Probe:
    if body.segment_id is not None:
        return SimilarSegmentQuery(body.segment_id)
    if body.then is not None:
        return SequenceQuery(tuple(body.then), WITHIN_S if body.within_s is None else body.within_s)
    assert body.text is not None  # the schema takes one of the three
    return TextQuery(body.text, body.negative_text)


def _question(
    options: schemas.SearchOptions, probe: Probe, min_confidence: float | None
) -> MomentQuery:
    grouped = options.max_per_video or 1 if options.group_by == "video" else None
    return MomentQuery(
        probe=probe,
        top_k=options.top_k,
        condition=parse_filter(options.filter or {}),
        min_confidence=min_confidence,
        max_per_video=grouped,
        merge=options.merge,
        cursor=options.cursor,
    )


async def _wait_for_job(
    request: Request, services: Services, collection: str, options: schemas.SearchOptions
) -> None:
    """Return once the job's segments can be found; holds no thread and no permit meanwhile."""
    if options.after_job is None:
        return
    permit: Permit = request.state.permit
    async with permit.released():
        await _searchable(services, collection, options.after_job, options.deadline_ms)


async def _searchable(services: Services, collection: str, job_id: str, deadline_ms: int) -> None:
    def settled(job: Job) -> bool:
        return job.collection != collection or job.searchable_at is not None or has_ended(job)

    job = await services.following.wait(job_id, deadline_ms / 1000, until=settled)
    if job.collection != collection:
        raise InvalidRequest(f"The job {job.id} belongs to another collection.")
    if job.status in ("failed", "canceled"):
        raise JobDidNotSucceed(f"The job {job.id} has ended as {job.status}.")
    if job.searchable_at is None:
        raise DeadlineExceeded(f"The job {job_id} was not done within {deadline_ms} ms.")
