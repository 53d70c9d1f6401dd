"""`/v1/jobs`: ingest jobs, their progress, cancelling and retrying."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Response

from app.catalog.records import JobStatus
from app.routes.dependencies import (
    NAME_PATTERN,
    ClockDep,
    Cursor,
    IngestDep,
    JobId,
    JobWatcherDep,
    Limit,
    Owner,
)
from app.routes.error_responses import problem_responses
from app.routes.prefer_header import Prefer, prefer_wait, wait_applied
from app.routes.responses import job_answer, page_answer
from xclip_search import schemas

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

CollectionFilter = Annotated[
    str | None,
    Query(pattern=NAME_PATTERN, description="only jobs of this collection; default: all"),
]
StatusFilter = Annotated[
    JobStatus | None, Query(description="only jobs of this status; default: all")
]


@router.get("", responses=problem_responses(404, 422))
def list_jobs(
    ingest: IngestDep,
    clock: ClockDep,
    status: StatusFilter = None,
    collection: CollectionFilter = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> schemas.Page[schemas.JobAnswer]:
    """Jobs, newest first."""
    jobs = ingest.jobs(status, collection, cursor, limit)
    return page_answer(jobs, partial(job_answer, now=clock.now()))


@router.get("/{job_id:name}", responses=problem_responses(404, 422))
async def get_job(
    ingest: IngestDep,
    watcher: JobWatcherDep,
    clock: ClockDep,
    job_id: JobId,
    response: Response,
    owner: Owner,
    prefer: Prefer,
) -> schemas.JobAnswer:
    """One job; once it has succeeded, its video is found."""
    seconds = prefer_wait(prefer)
    if seconds is None:
        return job_answer(await anyio.to_thread.run_sync(ingest.job, job_id), clock.now())
    with watcher.waiting(owner) as may:
        job = await (watcher.wait(job_id, seconds) if may else watcher.look(job_id))
    if may:
        response.headers.update(wait_applied(seconds))
    return job_answer(job, clock.now())


@router.post("/{job_id:name}:cancel", responses=problem_responses(404, 409, 422))
def cancel_job(ingest: IngestDep, job_id: JobId) -> schemas.JobAnswer:
    """Stop a job that has not ended; its worker stops within about a second."""
    return job_answer(ingest.cancel(job_id))


@router.post("/{job_id:name}:retry", responses=problem_responses(404, 409, 422))
def retry_job(ingest: IngestDep, job_id: JobId) -> schemas.JobAnswer:
    """Queue a job that failed or was canceled again, or end the wait before its next attempt."""
    return job_answer(ingest.retry(job_id))
