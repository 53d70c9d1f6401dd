"""Incoming files: the temporary files that request bodies are received into."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread

from app.storage.media_store import IncomingFile, MediaStore


class IncomingFiles:
    """Opens temporary files of the media store, each of which takes at most `max_bytes`."""

    def __init__(self, media: MediaStore, *, max_bytes: int) -> None:
        self._media = media
        self._max_bytes = max_bytes

    @asynccontextmanager
    async def receive(self) -> AsyncIterator[IncomingFile]:
        """A new file, discarded at the end of the block unless it was kept."""
        with await anyio.to_thread.run_sync(self._media.receive, self._max_bytes) as incoming:
            yield incoming
