"""`/v1/jobs`: slow work, its progress, and stopping or repeating it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app import schemas
from app.catalog.records import JobStatus
from app.errors import problem_responses
from app.routes.dependencies import NAME_PATTERN, Cursor, JobId, Limit, ServicesOf
from app.routes.shapes import job_answer, page_answer

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

CollectionFilter = Annotated[str | None, Query(pattern=NAME_PATTERN)]


@router.get("", responses=problem_responses(404, 422))
def list_jobs(
    services: ServicesOf,
    status: JobStatus | None = None,
    collection: CollectionFilter = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> schemas.Page[schemas.JobAnswer]:
    """Jobs, newest first."""
    return page_answer(services.ingest.jobs(status, collection, cursor, limit), job_answer)


@router.get("/{job_id}", responses=problem_responses(404, 422))
def get_job(services: ServicesOf, job_id: JobId) -> schemas.JobAnswer:
    """One job; once it has succeeded, its video is found."""
    return job_answer(services.ingest.job(job_id))


@router.post("/{job_id}:cancel", responses=problem_responses(404, 409, 422))
def cancel_job(services: ServicesOf, job_id: JobId) -> schemas.JobAnswer:
    """Stop a job that has not ended."""
    return job_answer(services.ingest.cancel(job_id))


@router.post("/{job_id}:retry", responses=problem_responses(404, 409, 422))
def retry_job(services: ServicesOf, job_id: JobId) -> schemas.JobAnswer:
    """Queue a job that failed or was canceled again."""
    return job_answer(services.ingest.retry(job_id))
