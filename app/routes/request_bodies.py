"""Request bodies: received as a stream of chunks, and validated where the framework does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import anyio.to_thread
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.content_length import content_length

_CHUNK_BYTES = 1 << 20


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
        chunk = bytes(gathered)
        gathered.clear()
        if chunk:
            await anyio.to_thread.run_sync(write, chunk)

    try:
        async for part in request.stream():
            gathered += part
            if len(gathered) >= _CHUNK_BYTES:
                await pass_on()
    finally:
        with anyio.CancelScope(shield=True):
            await pass_on()


@contextmanager
def validating_body() -> Iterator[None]:
    """Turn a ValidationError within the block into a RequestValidationError about the body."""
    try:
        yield
    except ValidationError as refused:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in refused.errors()]
        raise RequestValidationError(errors) from refused
