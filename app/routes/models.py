"""`/v1/models`: the model that answers, and the length of its queue."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from app.routes.dependencies import ModelStatusDep
from app.routes.error_responses import problem_responses
from xclip_search import schemas

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", responses=problem_responses(502))
def list_models(model_status: ModelStatusDep) -> schemas.ModelList:
    """The worker's model: its identity and sizes, and its queue now."""
    backlog = model_status.backlog()
    items = []
    for model in model_status.models():
        facts = asdict(model)
        slots = facts.pop("ingests")
        queue = schemas.QueueAnswer(
            jobs_queued=backlog.queued,
            jobs_running=backlog.running,
            seconds_per_job=backlog.seconds_per_job,
            wait_seconds=backlog.wait_in(slots),
            calls_waiting=facts.pop("calls_waiting"),
        )
        # A wire name of X-CLIP's days: of an encoder that stores no such array it says that.
        shape = facts.pop("stored_arrays").get("prompt", (0, 0))
        items.append(schemas.ModelAnswer(**facts, prompt_shape=shape, queue=queue))
    return schemas.ModelList(items=items)
