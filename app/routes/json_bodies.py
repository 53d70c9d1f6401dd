"""JSON bodies (RFC 8259): read as UTF-8 without a byte order mark, and no key twice.

The framework takes UTF-16 and UTF-32 as well, and of two equal keys it keeps the last one: a proxy
that checks requests may have kept the first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from app.problems import printable


class JsonRoute(APIRoute):
    """A route whose JSON body is read by `parse_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler of a request, over a request of ours."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly


class _StrictRequest(Request):
    async def json(self) -> Any:
        return parse_json(await self.body())


def parse_json(raw: bytes) -> Any:
    """The value of a JSON text.

    Raises json.JSONDecodeError, ValueError for endless numbers, RecursionError for endless depth.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("The text is not UTF-8", "", error.start) from None
    if "\0" in text:  # JSON escapes it: a text that holds one is of another encoding
        raise json.JSONDecodeError("The text is not UTF-8", "", text.index("\0"))
    return json.loads(text, object_pairs_hook=_object)


def parse_json_field(raw: bytes, *place: str) -> Any:
    """The value of a JSON text that came at this place of a request.

    Raises RequestValidationError.
    """
    try:
        return parse_json(raw)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else "It is too deep or too long"
        invalid = {"loc": place, "msg": "", "type": "json_invalid", "ctx": {"error": why}}
        raise RequestValidationError([invalid]) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise json.JSONDecodeError(f"The key {printable(twice)!r} is there twice", "", 0)
    return read
