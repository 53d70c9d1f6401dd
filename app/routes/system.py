"""Probes, metrics and the page: what operators, orchestrators and browsers ask for first."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import FileResponse, JSONResponse, Response

from app import schemas
from app.routes.dependencies import ServicesOf

WEB_FOLDER = Path(__file__).parent.parent / "web"

router = APIRouter(tags=["system"])
_PAGE_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
}
# Swagger UI sets styles on its elements and draws icons from data: URLs.
_DOCS_HEADERS = _PAGE_HEADERS | {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
}
_METRICS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {}}, "description": "Prometheus text"}
}


@router.get("/livez")
async def livez() -> dict[str, bool]:
    """The process answers; nothing else is looked at."""
    return {"alive": True}


@router.get(
    "/readyz",
    response_model=schemas.ReadyAnswer,
    responses={503: {"model": schemas.ReadyAnswer, "description": "A dependency does not work"}},
)
async def readyz(request: Request, services: ServicesOf) -> JSONResponse:
    """Every dependency by name; 503 if one of them does not work. Without a key, only that."""
    checks = await services.readiness.checks()
    ready = all(check.ok for check in checks.values())
    shown = checks if request.state.caller else {}
    body = {"ready": ready, "checks": {name: asdict(check) for name, check in shown.items()}}
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/metrics", response_class=Response, responses=_METRICS_RESPONSES)
async def metrics(services: ServicesOf) -> Response:
    """Counts and durations for Prometheus."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The web page for search and upload."""
    return FileResponse(WEB_FOLDER / "index.html", headers=_PAGE_HEADERS)


@router.get("/docs", include_in_schema=False)
async def docs() -> FileResponse:
    """The REST API to read and to try out, all of it from this package."""
    return FileResponse(WEB_FOLDER / "docs.html", headers=_DOCS_HEADERS)
