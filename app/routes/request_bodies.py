"""Request bodies received as a stream: files, and chunks of files."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.to_thread
from fastapi import Request

from app.content_length import content_length

_PIECE_BYTES = 1 << 20


def declared_length(request: Request) -> int:
    """The body's length if it is declared and allowed, else 0: reading it will tell."""
    length = content_length(request.headers)
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
