"""Zero-shot labels by the model's own score: stored segments without decoding, or one upload.

A segment's scores are the softmax of its logits over the labels, a video's are the mean of its
segments'. K segments, L labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.catalog import Catalog
from app.catalog.records import SegmentOfVideo, Video
from app.errors import InvalidRequest, VideoNotReady
from app.worker.client import WorkerClient

Probabilities = npt.NDArray[np.float64]

_SEGMENTS_AT_ONCE = 500
_VIDEOS_AT_ONCE = 1_000
_MAX_SCORES = 1_000_000


@dataclass(frozen=True, slots=True)
class VideoLabels:
    """A video's probabilities, shape (L,), and those of its segments, shape (K, L)."""

    video: Video
    segments: list[SegmentOfVideo]
    probabilities: Probabilities

    @property
    def mean(self) -> Probabilities:
        """The video's own probabilities, shape (L,)."""
        return np.asarray(self.probabilities.mean(axis=0))


@dataclass(frozen=True, slots=True)
class Classified:
    """The labelled videos and the model that labelled them."""

    model: str
    videos: list[VideoLabels]


@dataclass(frozen=True, slots=True)
class ClipLabels:
    """The labels of a file that is not kept.

    starts, ends : seconds, shape = (K,)
    probabilities : shape = (K, L)
    """

    duration_s: float
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    probabilities: Probabilities


class Classify:
    """Scores labels over what is stored, and over files that pass through."""

    def __init__(self, catalog: Catalog, worker: WorkerClient, *, decode_timeout_s: float) -> None:
        self._catalog = catalog
        self._worker = worker
        self._decode_timeout_s = decode_timeout_s

    def videos(
        self, name: str, labels: Sequence[str], video_ids: Sequence[str] | None
    ) -> Classified:
        """Label these videos, or every ready one; in the order given, else newest first.

        Raises CollectionNotFound, VideoNotFound, VideoNotReady, InvalidRequest (too many scores).
        """
        if video_ids is None:
            found = [item for batch in self._ready(name) for item in self._of_videos(name, batch)]
        else:
            videos = [self._catalog.get_video(name, video_id) for video_id in video_ids]
            waiting = next((video for video in videos if video.status != "ready"), None)
            if waiting is not None:
                raise VideoNotReady(f"The video {waiting.id} is {waiting.status}, not ready.")
            found = self._of_videos(name, list(dict.fromkeys(video_ids)))
        return self._classified(name, labels, found)

    def segments(self, name: str, labels: Sequence[str], ids: Sequence[str]) -> Classified:
        """Label these segments, grouped by video; raises SegmentNotFound."""
        found = self._catalog.segments_by_ids(name, list(dict.fromkeys(ids)))
        order = {item.video.id: place for place, item in reversed(list(enumerate(found)))}
        found.sort(key=lambda item: (order[item.video.id], item.segment.position))
        return self._classified(name, labels, found)

    def clip(
        self, path: Path, labels: Sequence[str], window_s: float, stride_s: float
    ) -> ClipLabels:
        """Label a file in the media store's tmp folder; nothing of it is kept."""
        scored = self._worker.score_clip(
            path, labels, window_s=window_s, stride_s=stride_s, timeout_s=self._decode_timeout_s
        )
        return ClipLabels(scored.duration_s, scored.starts, scored.ends, softmax(scored.scores))

    def _ready(self, name: str) -> Iterator[list[str]]:
        cursor: str | None = None
        while True:
            page = self._catalog.list_videos(name, cursor, _VIDEOS_AT_ONCE, "ready")
            yield [video.id for video in page.items]
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    def _of_videos(self, name: str, video_ids: list[str]) -> list[SegmentOfVideo]:
        """The segments of these videos, in the order of the ids and of time."""
        rows = self._catalog.eligible_rows(name, {"video_id": video_ids})
        order = {video_id: place for place, video_id in enumerate(video_ids)}
        found = self._catalog.segments_by_rows([] if rows is None else rows.tolist())
        return sorted(found, key=lambda item: (order[item.video.id], item.segment.position))

    def _classified(
        self, name: str, labels: Sequence[str], found: list[SegmentOfVideo]
    ) -> Classified:
        collection = self._catalog.get_collection(name)
        if len(found) * len(labels) > _MAX_SCORES:
            raise InvalidRequest(
                f"{len(found)} segments times {len(labels)} labels is more than the "
                f"{_MAX_SCORES} scores of one request; name fewer videos."
            )
        videos = []
        probabilities = self._probabilities(labels, found, collection.fingerprint)
        for _, group in groupby(enumerate(found), key=lambda pair: pair[1].video.id):
            places, items = zip(*group, strict=True)
            videos.append(VideoLabels(items[0].video, list(items), probabilities[list(places)]))
        return Classified(collection.model, videos)

    def _probabilities(
        self, labels: Sequence[str], found: list[SegmentOfVideo], fingerprint: str | None
    ) -> Probabilities:
        if not found or fingerprint is None:
            return np.empty((0, len(labels)))
        references = [item.segment.tensor for item in found]
        scores = [
            self._worker.score(
                labels, references[first : first + _SEGMENTS_AT_ONCE], fingerprint=fingerprint
            )
            for first in range(0, len(references), _SEGMENTS_AT_ONCE)
        ]
        return softmax(np.concatenate(scores))


def softmax(logits: npt.NDArray[np.float32]) -> Probabilities:
    """Probabilities over the last axis, in float64; never overflows."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
