"""URL fetch: downloads a video that a user names by URL into the media store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import anyio
import anyio.to_thread

from app.fetch.download import Download, Downloader
from app.fetch.errors import TooManyDownloads, UrlIngestOff, UrlTooSlow
from app.fetch.guard import Pace, Resolve, resolve
from app.fetch.rules import UrlRules
from app.settings import variable
from app.storage.filenames import MAX_LABEL_LENGTH, file_label
from app.storage.media_store import ContentTooLarge, IncomingFile, MediaStore

MAX_DOWNLOADS: Final = 4
_CHUNK_BYTES: Final = 1 << 20
_VARIABLE: Final = variable("url_ingest")
_UNKNOWN_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A received file, not yet synced, and what it is called."""

    incoming: IncomingFile
    filename: str
    content_type: str


class UrlFetcher:
    """Downloads into the media store: a few at once, each of `max_bytes` and `timeout_s` at most.

    `resolve` and `pace` replace the system's resolver and the usual time limits.
    """

    def __init__(
        self,
        media: MediaStore,
        rules: UrlRules,
        *,
        max_bytes: int,
        timeout_s: float,
        resolve: Resolve = resolve,
        pace: Pace | None = None,
    ) -> None:
        self._media = media
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._downloader = None if rules.off else Downloader(rules, resolve, pace or Pace())
        self._going_on = 0

    async def fetch(self, url: str, filename: str | None) -> FetchedFile:
        """Receive the file at `url`, called `filename` or as its URL ends; the caller discards it.

        Raises the errors of app.fetch, ContentTooLarge and StorageFull; then, and when it is
        cancelled, nothing is left of the file.
        """
        if self._downloader is None:
            raise UrlIngestOff(
                f"This service fetches no URLs; its operator can allow it with {_VARIABLE}."
            )
        incoming = await anyio.to_thread.run_sync(self._media.receive, self._max_bytes)
        try:
            download = await self._receive(self._downloader, url, incoming)
        except BaseException:
            incoming.discard()
            raise
        return FetchedFile(
            incoming,
            filename=file_label(filename or download.name),
            content_type=(download.content_type or _UNKNOWN_TYPE)[:MAX_LABEL_LENGTH],
        )

    async def _receive(self, downloader: Downloader, url: str, incoming: IncomingFile) -> Download:
        if self._going_on >= MAX_DOWNLOADS:
            raise TooManyDownloads(f"{MAX_DOWNLOADS} URLs are being fetched; try again later.")
        self._going_on += 1
        try:
            with anyio.fail_after(self._timeout_s):
                async with downloader.open(url) as download:
                    await _write(download, incoming)
                return download
        except TimeoutError:
            raise UrlTooSlow(
                f"The file did not arrive within {self._timeout_s:g} seconds."
            ) from None
        finally:
            self._going_on -= 1


async def _write(download: Download, incoming: IncomingFile) -> None:
    """Bring the chunks to the file in calls of about a mebibyte, each in a thread."""
    if download.length is not None:
        if download.length > incoming.max_bytes:
            raise ContentTooLarge(
                f"The file is larger than the limit of {incoming.max_bytes} bytes."
            )
        incoming.expect(download.length)
    gathered = bytearray()
    async for chunk in download.chunks:
        gathered += chunk
        if len(gathered) >= _CHUNK_BYTES:
            await anyio.to_thread.run_sync(incoming.write, bytes(gathered))
            gathered.clear()
    await anyio.to_thread.run_sync(incoming.write, bytes(gathered))
