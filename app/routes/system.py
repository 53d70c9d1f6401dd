"""Health checks and metrics: `/livez`, `/readyz`, `/metrics`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from app.routes.dependencies import MetricsDep, ReadinessDep
from app.routes.files import TEXT_SCHEMA
from xclip_search import schemas

router = APIRouter(tags=["system"])
_METRICS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": TEXT_SCHEMA}}, "description": "Prometheus text"}
}


@router.get("/livez")
async def get_liveness() -> dict[str, bool]:
    """The process answers; nothing else is looked at."""
    return {"alive": True}


@router.get(
    "/readyz",
    response_model=schemas.ReadyAnswer,
    responses={503: {"model": schemas.ReadyAnswer, "description": "A dependency does not work"}},
)
async def get_readiness(request: Request, readiness: ReadinessDep) -> JSONResponse:
    """Every dependency by name; 503 if one of them does not work. Without a key, only that."""
    checks = await readiness.checks()
    ready = all(check.ok for check in checks.values())
    shown = checks if request.state.caller else {}
    body = {"ready": ready, "checks": {name: asdict(check) for name, check in shown.items()}}
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/metrics", response_class=Response, responses=_METRICS_RESPONSES)
def get_metrics(collector: MetricsDep) -> Response:
    """Counts, durations and how things are, of the API and of the worker, for Prometheus."""
    return Response(collector.text(), media_type=CONTENT_TYPE_LATEST)
