"""Exported vectors: a video's segments with their embeddings as NumPy arrays."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xclip_search import schemas

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SegmentVector:
    """A segment and the vector that the index finds it by.

    index : the segment's place in the video, from 0
    start, end : seconds
    embedding : of shape (D,); None if what is stored cannot be read
    """

    segment_id: str
    index: int
    start: float
    end: float
    embedding: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class VideoVectors:
    """A video's segments with their vectors, in order of time, and the model that made them."""

    video_id: str
    model: str
    items: list[SegmentVector]


def decoded(answer: schemas.VideoEmbeddings) -> VideoVectors:
    """The vectors of an answer; raises ValueError where one is no base64 of float32."""
    items = [
        SegmentVector(item.segment_id, item.index, item.start, item.end, _array(item.embedding))
        for item in answer.items
    ]
    return VideoVectors(answer.video_id, answer.model, items)


def _array(encoded: str | None) -> NDArray[np.float32] | None:
    import numpy as np  # late: programs that only search need none

    if encoded is None:
        return None
    little_endian = np.frombuffer(base64.b64decode(encoded, validate=True), "<f4")
    return little_endian.astype(np.float32)  # a copy, which can be written to
