"""Clip export: cuts an interval of a stored video into a file that is not kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from app.catalog.records import Video
from app.errors import ContentNotFound, InvalidRequest, VideoNotReady
from app.model_api.client import WorkerClient
from app.storage.folder_store import OpenFile
from app.storage.media_store import MediaStore, content_key
from app.storage.object_store import ObjectMissing, OpenObject, chunks

MAX_CLIP_S = 600.0
MAX_CLIP_BYTES = 512 << 20
_OVERHEAD_BYTES = 16 << 20  # an index, which may be longer than the one in the source


@dataclass(frozen=True, slots=True)
class VideoClip:
    """An interval that was cut out: its bytes, open, their hash, and where it begins and ends."""

    content: OpenObject
    sha256: str
    container: Literal["mp4", "webm"]
    start_s: float
    end_s: float


class ClipExport:
    """Has the worker cut stored videos."""

    def __init__(self, media: MediaStore, worker: WorkerClient) -> None:
        self._media = media
        self._worker = worker

    def cut(self, video: Video, start_s: float, end_s: float) -> VideoClip:
        """Copy the interval, from the last keyframe at or before its start.

        The file is nameless already when this returns: it goes when it is closed.

        Raises VideoNotReady, InvalidRequest, ContentNotFound, StorageFull; the worker's errors are
        those of the file.
        """
        self._check(video, start_s, end_s)
        try:
            source = self._media.objects.stat(content_key(video.sha256))
        except ObjectMissing:
            raise ContentNotFound(f"The bytes of {video.id} are not in the media store.") from None
        with self._media.receive(MAX_CLIP_BYTES) as target:
            target.expect(min(MAX_CLIP_BYTES, video.size_bytes + _OVERHEAD_BYTES))
            done = self._worker.cut(
                video.sha256,
                target.path.name,
                start_s=start_s,
                end_s=end_s,
                max_bytes=MAX_CLIP_BYTES,
            )
            clip = OpenFile(target.path, modified_s=source.modified_s)
        digest = hashlib.sha256()
        for chunk in chunks(clip):
            digest.update(chunk)
        return VideoClip(clip, digest.hexdigest(), done.container, done.start_s, done.end_s)

    def _check(self, video: Video, start_s: float, end_s: float) -> None:
        if video.duration_s is None:
            raise VideoNotReady(f"The video {video.id} is {video.status}, not ready.")
        if not start_s < min(end_s, video.duration_s):
            raise InvalidRequest(
                f"start must be before end, and before the video's own at {video.duration_s:g} s."
            )
        if end_s - start_s > MAX_CLIP_S:
            raise InvalidRequest(f"A clip has at most {MAX_CLIP_S:g} seconds.")
