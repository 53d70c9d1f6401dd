"""`/v1/collections/{collection}/search`: moments found in words."""

from __future__ import annotations

from dataclasses import fields

from fastapi import APIRouter

from app import schemas
from app.errors import problem_responses
from app.routes.dependencies import CollectionName, ServicesOf
from app.routes.shapes import search_answer
from app.services.search import Question

router = APIRouter(prefix="/v1/collections/{collection}", tags=["search"])


@router.post("/search", responses=problem_responses(404, 409, 413, 422, 502))
def search(
    services: ServicesOf, collection: CollectionName, body: schemas.SearchRequest
) -> schemas.SearchAnswer:
    """The segments that the model finds most like the text, best first."""
    question = Question(body.text, body.top_k, body.filter)
    findings = services.search.ask(collection, question)
    for stage in fields(findings.seconds):
        seconds = getattr(findings.seconds, stage.name)
        services.metrics.search_seconds.labels(stage.name).observe(seconds)
    return search_answer(body.text, findings)
