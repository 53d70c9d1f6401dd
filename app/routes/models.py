"""`/v1/models`: what the model is that answers."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from app import schemas
from app.problems import problem_responses
from app.routes.dependencies import ServicesOf

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", responses=problem_responses(502))
def list_models(services: ServicesOf) -> schemas.ModelList:
    """The worker's model: its identity and sizes."""
    return schemas.ModelList(items=[schemas.ModelAnswer(**asdict(services.worker.facts()))])
