"""Routes that take larger JSON bodies than others."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

LABELS_BODY_BYTES = 16 << 20  # ten thousand labels of a thousand letters, with room


class LabelsRoute(APIRoute):
    """A route whose body may hold thousands of labels."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the allowance raised before it reads the body."""
        handle = super().get_route_handler()

        async def handle_large(request: Request) -> Response:
            request.state.body.max_bytes = LABELS_BODY_BYTES
            return await handle(request)

        return handle_large
