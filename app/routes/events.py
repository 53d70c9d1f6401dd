"""Server-sent events: `/v1/jobs/{id}/events` streams a job's changes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.clock import Clock
from app.routes.dependencies import ClockDep, JobId, JobWatcherDep, Owner
from app.routes.error_responses import problem_responses
from app.routes.responses import job_answer
from app.services.ingest.job_watcher import JobWatcher, has_ended

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}  # nginx would hold events back
_REVISION = re.compile(r"[0-9]{1,9}")
# Of one event: what a client of server-sent events hands on, field by field.
_EVENT_SCHEMA = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "description": "`job`"},
        "id": {"type": "string", "description": "the revision of the job"},
        "data": {"type": "string", "description": "the job, as JSON"},
    },
    "required": ["data"],
    "description": "One event of the stream",
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": _EVENT_SCHEMA}},
        "description": "Events named `job`, whose data is the job and whose id its revision",
    },
    204: {"description": "The job has ended, and the client has seen its end"},
    **problem_responses(404, 422),
}
LastEventId = Annotated[
    str | None, Header(description="the id of the last event received, which is not sent again")
]


@router.get("/{job_id:name}/events", response_class=Response, responses=_RESPONSES)
async def follow_job(
    watcher: JobWatcherDep,
    clock: ClockDep,
    owner: Owner,
    job_id: JobId,
    last_event_id: LastEventId = None,
) -> Response:
    """The job as it is, then every change as it happens; ends with the job."""
    seen = int(last_event_id) if last_event_id and _REVISION.fullmatch(last_event_id) else None
    job = await watcher.look(job_id)
    if has_ended(job) and job.revision == seen:
        return Response(status_code=204)  # tells an EventSource not to come again
    return _JobEvents(_events(watcher, clock, job_id, seen), watcher, owner)


class _JobEvents(StreamingResponse):
    """A stream that counts as open from its first byte to its last, or until its client is gone."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], watcher: JobWatcher, owner: str) -> None:
        super().__init__(events, headers=_HEADERS)
        self._watcher = watcher
        self._owner = owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._watcher.stream(self._owner):
            await super().__call__(scope, receive, send)


async def _events(
    watcher: JobWatcher, clock: Clock, job_id: str, seen: int | None
) -> AsyncIterator[bytes]:
    async for job in watcher.changes(job_id, seen):
        if job is None:
            yield KEEPALIVE_COMMENT
        else:
            answer = job_answer(job, clock.now()).model_dump_json()
            yield format_sse_event(event="job", data_str=answer, id=str(job.revision))
