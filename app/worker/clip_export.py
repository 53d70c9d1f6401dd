"""Clip export: parts of stored videos, cut by a confined process into files the API has made."""

from __future__ import annotations

import os
from pathlib import Path

from app.model_api.messages import ClipExportRequest, ClipExportResult
from app.storage.media_store import MediaStore, content_key
from app.worker.decoding import Decoder
from app.worker.errors import NotInClipFolder
from xclip.video.cut import CutRequest
from xclip.video.sandbox.child import cut_in_child

WALL_CLOCK_S = 60.0


class ClipExporter:
    """Cuts stored videos, under the limits that decoding has, too."""

    def __init__(self, media: MediaStore, decoder: Decoder) -> None:
        self._media = media
        self._decoder = decoder

    def cut(self, order: ClipExportRequest) -> ClipExportResult:
        """Write the interval into the named file of the folder for incoming files.

        Raises NotInClipFolder, VideoError.
        """
        output = self._open(order.into)
        try:
            with (
                self._media.objects.local_copy(content_key(order.sha256)) as source,
                self._decoder.naming_memory_limit(),
            ):
                done = cut_in_child(
                    source,
                    output,
                    CutRequest(order.start_s, order.end_s, order.max_bytes, self._decoder.limits),
                    wall_clock_s=WALL_CLOCK_S,
                    memory_bytes=self._decoder.memory_bytes,
                )
        finally:
            os.close(output)
        return ClipExportResult(done.container, done.start_s, done.end_s)

    def _open(self, name: str) -> int:
        """A descriptor of a file that is there, under its own name and not by a link."""
        refusal = NotInClipFolder(f"{name} is not a file of the folder for incoming files.")
        if Path(name).name != name:
            raise refusal
        try:
            return os.open(self._media.tmp / name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise refusal from error
