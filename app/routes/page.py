"""Web page: serves the page, the API documentation and their static files."""

from __future__ import annotations

from os import PathLike, stat_result
from pathlib import Path

from fastapi import APIRouter
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

WEB_FOLDER = Path(__file__).parent.parent / "web"

router = APIRouter(tags=["system"])
_ASK_AGAIN = "no-cache"  # kept, but never shown unasked: the files of two versions do not mix
_PAGE_HEADERS = {
    "cache-control": _ASK_AGAIN,
    "content-security-policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
}
# Swagger UI sets styles on its elements and draws icons from data: URLs.
_DOCS_HEADERS = _PAGE_HEADERS | {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
}


class _Files(StaticFiles):
    """Files whose ETag is weak, since what is sent may be compressed."""

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The file, or 304 if the client has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = _ASK_AGAIN
        response.headers["etag"] = f"W/{response.headers['etag']}"
        return response


def static_files() -> ASGIApp:
    """The page's own files, compressed for who takes them so."""
    return GZipMiddleware(_Files(directory=WEB_FOLDER))


def swagger_files() -> ASGIApp:
    """Those of Swagger UI."""
    return GZipMiddleware(_Files(packages=[("fastapi_swagger", "resources")]))


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The web page: search, library, jobs and settings."""
    return FileResponse(WEB_FOLDER / "index.html", headers=_PAGE_HEADERS)


@router.get("/docs", include_in_schema=False)
async def docs() -> FileResponse:
    """The REST API to read and to try out, all of it from this package."""
    return FileResponse(WEB_FOLDER / "docs.html", headers=_DOCS_HEADERS)
