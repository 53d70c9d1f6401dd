"""Upload by URL: a JSON body that names the URL from which the video is fetched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from starlette.requests import ClientDisconnect, Request

from app.routes.json_bodies import parse_json_field
from app.routes.multipart import COMPONENT
from app.routes.request_bodies import validating_body
from app.services.ingest.ingest import Upload
from app.services.ingest.url_fetch import UrlFetcher
from xclip_search import schemas

_JSON = "application/json"


def names_url(request: Request) -> bool:
    """Whether the request's body is JSON, not a form."""
    media_type = request.headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == _JSON


@asynccontextmanager
async def receive_url(request: Request, fetcher: UrlFetcher) -> AsyncIterator[Upload]:
    """The file that the body names, discarded afterwards unless it was kept.

    Raises RequestValidationError, ClientDisconnect as soon as the client goes away, and what
    UrlFetcher raises.
    """
    raw = await request.body()
    with validating_body():
        body = schemas.UrlUpload.model_validate(parse_json_field(raw, "body"))
    with _while_connected(request):
        fetched = await fetcher.fetch(body.url, body.filename)
    with fetched.incoming as incoming:
        yield Upload(incoming, fetched.filename, fetched.content_type, body.metadata)


def also_json(form: Mapping[str, Any]) -> dict[str, Any]:
    """The OpenAPI `requestBody` of a form, with the JSON that may come instead of it."""
    body = form["requestBody"]
    schema = schemas.UrlUpload.model_json_schema(ref_template=COMPONENT)
    del schema["$defs"]  # the document's own components hold them
    json_body = {_JSON: {"schema": schema}}
    return {"requestBody": {**body, "content": {**body["content"], **json_body}}}


@contextmanager
def _while_connected(request: Request) -> Iterator[None]:
    """Cancel what is awaited inside when the client goes away. The request's body has been read."""
    with anyio.CancelScope() as scope:
        watcher = asyncio.create_task(_cancel_when_gone(request, scope))
        try:
            yield
        finally:
            watcher.cancel()
    if scope.cancelled_caught:
        raise ClientDisconnect


async def _cancel_when_gone(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
