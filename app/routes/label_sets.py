"""`/v1/label-sets`: named lists of labels to classify with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.routes.dependencies import NAME_PATTERN, Cursor, LabelSetsDep, Limit
from app.routes.error_responses import problem_responses
from app.routes.json_bodies import JsonRoute
from app.routes.responses import label_set_answer, label_set_summary, page_answer
from xclip_search import schemas

router = APIRouter(prefix="/v1/label-sets", tags=["classify"], route_class=JsonRoute)

Name = Annotated[str, Path(pattern=NAME_PATTERN, description="name of the label set")]


@router.get("", responses=problem_responses(422))
def list_label_sets(
    label_sets: LabelSetsDep, cursor: Cursor = None, limit: Limit = 50
) -> schemas.Page[schemas.LabelSetSummary]:
    """Label sets by name, without their labels."""
    return page_answer(label_sets.page(cursor, limit), label_set_summary)


@router.put(
    "/{name}",
    responses={201: {"model": schemas.LabelSetAnswer}, **problem_responses(413, 422)},
)
def put_label_set(
    label_sets: LabelSetsDep, name: Name, response: Response, body: schemas.LabelSetPut
) -> schemas.LabelSetAnswer:
    """Create a label set (201), or replace what it holds (200)."""
    label_set, created, use = label_sets.put(name, body.labels, body.templates)
    response.status_code = 201 if created else 200
    return label_set_answer(label_set, use)


@router.get("/{name}", responses=problem_responses(404, 422))
def get_label_set(label_sets: LabelSetsDep, name: Name) -> schemas.LabelSetAnswer:
    """One label set."""
    return label_set_answer(label_sets.get(name))


@router.delete("/{name}", status_code=204, responses=problem_responses(404, 422))
def delete_label_set(label_sets: LabelSetsDep, name: Name) -> None:
    """Delete a label set; what was answered with it stays as it is."""
    label_sets.delete(name)
