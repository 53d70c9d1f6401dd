"""Deletion responses: all of it is gone, or files remain to be removed from the disk."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from app.routes.error_responses import problem_responses
from xclip_search import schemas


def deleted_answer(pending: int) -> Response:
    """204, or 202 when so many removals are still pending."""
    if not pending:
        return Response(status_code=204)
    body = schemas.DeletedAnswer(pending_removals=pending)
    return Response(body.model_dump_json(), 202, media_type="application/json")


def deleted_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a deletion that may answer these statuses with a problem."""
    pending = {"model": schemas.DeletedAnswer, "description": "Deleted, not yet off the disk"}
    return {202: pending, **problem_responses(*statuses)}
