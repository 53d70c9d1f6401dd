"""Query and result types of searches: values without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from app.catalog.filters import Condition
from app.catalog.records import Segment, SegmentOfVideo
from app.model_api.messages import ConfidenceKind
from app.services.text_use import TextUse
from app.services.vectors.port import Recall

COSINE: Final = "cosine"  # the kind of the scores that the index itself computes


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A text that describes the moment, and one that must not describe it."""

    text: str
    negative: str | None = None


@dataclass(frozen=True, slots=True)
class SimilarSegmentQuery:
    """Moments that resemble this segment of the collection."""

    segment_id: str


@dataclass(frozen=True, slots=True)
class ClipQuery:
    """Moments that resemble this file, in the media store's folder for incoming files."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class SequenceQuery:
    """Events in this order within one video, each at most `within_s` after the one before."""

    texts: tuple[str, ...]
    within_s: float


Probe: TypeAlias = TextQuery | SimilarSegmentQuery | ClipQuery | SequenceQuery


@dataclass(frozen=True, slots=True)
class MomentQuery:
    """A probe, the segments to search, and how the results are arranged and paged.

    max_per_video : groups results by video, at most this many of each; None ranks them singly
    merge : overlapping windows become one moment
    top_k : number of moments, or of videos when results are grouped by video
    """

    probe: Probe
    top_k: int = 10
    condition: Condition | None = None
    min_confidence: float | None = None
    max_per_video: int | None = None
    merge: bool = False
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class RankedSegment:
    """A segment, its score, and its confidence (0 to 1) if one is known."""

    found: SegmentOfVideo
    score: float
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Moment:
    """An interval of a video that is one result.

    best : the segment that represents it; start, end : seconds; segments : all that it is made of;
    steps : the events of a sequence, in order
    """

    best: RankedSegment
    start: float
    end: float
    segments: tuple[Segment, ...]
    steps: tuple[RankedSegment, ...] = ()


@dataclass(frozen=True, slots=True)
class Stages:
    """How long each stage took, in seconds. `total` is their sum."""

    encode: float
    filter: float
    recall: float
    score: float
    total: float


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of moments, what was searched for them, and how long that took.

    exact : every eligible segment was scored by the model, not only the recalled ones
    damaged : how many eligible segments were left out because what is stored of them is unreadable
    score_kind : what a score is: `COSINE`, or the encoder's kind, with _contrast when a
        negative text was given and _sequence for a chain of events
    confidence_kind : how the confidence was computed; None when there is none
    abstained : there were results, but the confidence of each was below min_confidence
    text_use : how much of the query's texts the model has read
    filter_keys : where the filter allows nothing, in how many videos each of its keys is
    """

    moments: list[Moment]
    next_cursor: str | None
    recall: Recall
    exact: bool
    damaged: int
    score_kind: str
    confidence_kind: ConfidenceKind | None
    abstained: bool
    model: str
    seconds: Stages
    text_use: TextUse = field(default_factory=TextUse)
    filter_keys: Mapping[str, int] = field(default_factory=dict)
