"""Large request bodies: JSON with thousands of labels, and files received as a stream."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.server.body_limit import LABELS_BODY_BYTES

_PIECE_BYTES = 1 << 20


class LabelsRoute(APIRoute):
    """A route whose body may hold thousands of labels."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the allowance raised before it reads the body."""
        handle = super().get_route_handler()

        async def handle_large(request: Request) -> Response:
            request.state.body.max_bytes = LABELS_BODY_BYTES
            return await handle(request)

        return handle_large


def declared_length(request: Request) -> int:
    """The body's length if it is declared and allowed, else 0: reading it will tell."""
    declared = request.headers.get("content-length", "")
    length = int(declared) if declared.isdecimal() and len(declared) < 20 else 0
    return length if length <= request.state.body.max_bytes else 0


async def receive_body(request: Request, write: Callable[[bytes], object]) -> None:
    """Hand the body to `write` as it comes: about a mebibyte at a time, each in a thread.

    What came before an error is handed over too, unless the error is `write`'s own.
    """
    gathered = bytearray()

    async def pass_on() -> None:
        piece = bytes(gathered)
        gathered.clear()
        if piece:
            await anyio.to_thread.run_sync(write, piece)

    try:
        async for piece in request.stream():
            gathered += piece
            if len(gathered) >= _PIECE_BYTES:
                await pass_on()
    finally:
        with anyio.CancelScope(shield=True):
            await pass_on()
