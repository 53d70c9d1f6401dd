"""Incoming files: bounded, and gone at the end of the block unless they were kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.services.ingest.incoming_files import IncomingFiles
from app.storage.media_store import ContentTooLarge
from tests.app.stack import Stack


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_that_is_not_kept_is_removed(stack: Stack, fails: bool):
    """Its temporary file is there within the block and gone after it, also after an error."""
    seen: list[Path] = []

    async def receive() -> None:
        async with IncomingFiles(stack.media, max_bytes=10).receive() as incoming:
            incoming.write(b"bytes")
            seen.append(incoming.path)
            assert incoming.path.read_bytes() == b"bytes"
            if fails:
                raise ConnectionError

    if fails:
        with pytest.raises(ConnectionError):
            asyncio.run(receive())
    else:
        asyncio.run(receive())
    assert not seen[0].exists()


def test_a_kept_file_outlives_the_block(stack: Stack):
    """What the media store has taken over is not discarded."""

    async def receive() -> str:
        async with IncomingFiles(stack.media, max_bytes=10).receive() as incoming:
            incoming.write(b"bytes")
            stored = incoming.sync()
            with stack.media.exclusive():
                stack.media.keep(incoming, stored)
            return stored.sha256

    sha256 = asyncio.run(receive())
    assert any(path.name.startswith(sha256) for path in stack.settings.layout.media.rglob("*"))


def test_a_file_takes_no_more_than_its_limit(stack: Stack):
    """The byte past `max_bytes` is refused."""

    async def receive() -> None:
        async with IncomingFiles(stack.media, max_bytes=4).receive() as incoming:
            incoming.write(b"four")
            incoming.write(b"!")

    with pytest.raises(ContentTooLarge):
        asyncio.run(receive())
