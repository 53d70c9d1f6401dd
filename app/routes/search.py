"""`/v1/collections/{collection}/search`: moments by text, by example, or in sequence."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Request

from app.catalog.errors import InvalidFilter
from app.catalog.filters import parse_filter
from app.routes.dependencies import (
    CollectionName,
    CurrentPermit,
    IncomingFilesDep,
    JobWatcherDep,
    LibraryDep,
    Owner,
    SearchDep,
    VideoId,
)
from app.routes.error_responses import problem_responses
from app.routes.json_bodies import JsonRoute
from app.routes.multipart import MultipartForm, form_body, parse_fields, receive_form
from app.routes.responses import heatmap_answer, search_answer
from app.server.concurrency import Permit
from app.services.ingest.job_watcher import JobWatcher
from app.services.search.query import (
    ClipQuery,
    MomentQuery,
    Probe,
    SequenceQuery,
    SimilarSegmentQuery,
    TextQuery,
)
from app.services.search.search import Search
from app.storage.media_store import IncomingFile
from xclip_search import schemas

router = APIRouter(prefix="/v1/collections/{collection}", tags=["search"], route_class=JsonRoute)

WITHIN_S = 30.0


@router.post("/search", responses=problem_responses(404, 409, 410, 413, 422, 502, 504))
async def search_segments(
    permit: CurrentPermit,
    searcher: SearchDep,
    watcher: JobWatcherDep,
    owner: Owner,
    collection: CollectionName,
    body: schemas.SearchRequest,
) -> schemas.SearchAnswer:
    """The moments that the model finds most like the query, best first."""
    await _wait_for_job(permit, watcher, owner, collection, body)
    return await anyio.to_thread.run_sync(_search, searcher, collection, body)


@router.post("/search:batch", responses=problem_responses(404, 409, 410, 413, 422, 502, 504))
async def search_batch(
    permit: CurrentPermit,
    searcher: SearchDep,
    watcher: JobWatcherDep,
    owner: Owner,
    collection: CollectionName,
    body: schemas.SearchBatchRequest,
) -> schemas.SearchBatchAnswer:
    """Several searches in one request, answered in their order; all or none succeed."""
    for query in body.queries:
        await _wait_for_job(permit, watcher, owner, collection, query)
    return await anyio.to_thread.run_sync(_search_batch, searcher, collection, body)


@router.post(
    "/search:clip",
    openapi_extra=form_body(schemas.SearchOptions),
    responses=problem_responses(404, 409, 410, 413, 415, 422, 502, 504, 507),
)
async def search_clip(
    request: Request,
    permit: CurrentPermit,
    searcher: SearchDep,
    library: LibraryDep,
    watcher: JobWatcherDep,
    files: IncomingFilesDep,
    owner: Owner,
    collection: CollectionName,
) -> schemas.SearchAnswer:
    """Moments like a clip that is sent along and forgotten."""
    await anyio.to_thread.run_sync(library.collection, collection)
    async with files.receive() as incoming:
        form = await receive_form(request, incoming, fields=schemas.SearchOptions)
        options = parse_fields(form, schemas.SearchOptions)
        await _wait_for_job(permit, watcher, owner, collection, options)
        return await anyio.to_thread.run_sync(
            _search_clip, searcher, collection, incoming, form, options
        )


@router.get("/videos/{video_id}/heatmap", responses=problem_responses(404, 409, 422, 502))
def get_heatmap(
    searcher: SearchDep,
    collection: CollectionName,
    video_id: VideoId,
    q: Annotated[schemas.Text, Query(description="what is to be seen, in words")],
) -> schemas.HeatmapAnswer:
    """What a video scores for a text, over time."""
    return heatmap_answer(q, searcher.heatmap(collection, video_id, q))


def _search(searcher: Search, collection: str, body: schemas.SearchRequest) -> schemas.SearchAnswer:
    texts = body.then or [text for text in (body.text,) if text is not None]
    query = _moment_query(body, _probe(body), body.min_confidence)
    return search_answer(texts or [body.segment_id or ""], searcher.find(collection, query))


def _search_batch(
    searcher: Search, collection: str, body: schemas.SearchBatchRequest
) -> schemas.SearchBatchAnswer:
    # All texts at once: one turn of the model instead of one for each.
    phrases = ((query.text, query.negative_text, *(query.then or ())) for query in body.queries)
    texts = {text for several in phrases for text in several if text is not None}
    if texts:
        searcher.encode_ahead(collection, sorted(texts))
    answers = []
    for number, query in enumerate(body.queries):
        try:
            answers.append(_search(searcher, collection, query))
        except InvalidFilter as error:
            error.inside = ("queries", number, "filter")
            raise
    return schemas.SearchBatchAnswer(answers=answers)


def _search_clip(
    searcher: Search,
    collection: str,
    incoming: IncomingFile,
    form: MultipartForm,
    options: schemas.SearchOptions,
) -> schemas.SearchAnswer:
    clip = ClipQuery(incoming.path, incoming.sync().sha256)
    query = _moment_query(options, clip, None)
    return search_answer([form.filename], searcher.find(collection, query))


def _probe(body: schemas.SearchRequest) -> Probe:
    if body.segment_id is not None:
        return SimilarSegmentQuery(body.segment_id)
    if body.then is not None:
        return SequenceQuery(tuple(body.then), WITHIN_S if body.within_s is None else body.within_s)
    assert body.text is not None  # the schema takes one of the three
    return TextQuery(body.text, body.negative_text)


def _moment_query(
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
    permit: Permit,
    watcher: JobWatcher,
    owner: str,
    collection: str,
    options: schemas.SearchOptions,
) -> None:
    """Return once the job's segments can be found; holds no thread and no permit meanwhile."""
    if options.after_job is None:
        return
    async with permit.released():
        await watcher.wait_searchable(collection, options.after_job, options.deadline_ms, owner)
