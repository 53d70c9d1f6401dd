"""Classification types: what a request labels and what is answered. Values without I/O.

L labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from app.catalog.records import Filter, Segment, Video
from app.errors import NotCalibrated
from app.model_api.messages import ConfidenceRequest, Scores
from app.services.classify.probabilities import (
    HighestScores,
    LabelScores,
    MeanScores,
    Probabilities,
    softmax,
)
from app.services.text_use import TextUse

Mode: TypeAlias = Literal["single", "multi"]


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """How to label each video: by `labels` or those of a label set, answering the `top` or all.

    `templates` None takes the label set's, if any; `segments` adds each segment's own scores;
    `none_of_these`, in mode single, lets the texts of the model's bank compete with the labels.
    """

    labels: Sequence[str] | None = None
    label_set: str | None = None
    templates: Sequence[str] | None = None
    top: int | None = None
    segments: bool = True
    mode: Mode = "single"
    none_of_these: bool = False

    def pool(self) -> MeanScores | HighestScores:
        """A new accumulator that turns segments' scores into their video's."""
        return MeanScores() if self.mode == "single" else HighestScores()


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a collection: at most one of these is given, and without any it is all."""

    video_ids: Sequence[str] | None = None
    segment_ids: Sequence[str] | None = None
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class Labelling:
    """The labels that are answered, the templates each is put in, and how they are scored.

    calibration : the one that turns scores into confidence; None is the model's own
    """

    labels: Sequence[str]
    templates: Sequence[str]
    mode: Mode
    none_of_these: bool
    calibration: str | None = None

    @property
    def confidence(self) -> ConfidenceRequest | None:
        """The confidence to request from the worker: of each segment as if it were the only one."""
        return ConfidenceRequest(self.calibration, 1) if self.mode == "multi" else None

    def rows(self, scores: Scores) -> Iterator[Probabilities]:
        """Probabilities, shape (L,) or (L + 1,), one segment at a time. Raises NotCalibrated."""
        if self.mode == "multi":
            if scores.confidence is None:
                raise NotCalibrated(
                    "mode multi needs confidence, and none is fitted to this model; fit one with "
                    "`xclip-search calibrate`, or use mode single."
                )
            yield from scores.confidence
        elif scores.rest is None:
            yield from map(softmax, scores.logits)
        else:
            for logits, rest in zip(scores.logits, scores.rest, strict=True):
                yield softmax(np.append(logits, rest))


@dataclass(frozen=True, slots=True)
class SegmentLabels:
    """A stored segment's scores."""

    segment: Segment
    scores: LabelScores


@dataclass(frozen=True, slots=True)
class VideoLabels:
    """A video's scores and, if requested, those of its segments in order of time."""

    video: Video
    scores: LabelScores
    segments: list[SegmentLabels] | None


@dataclass(frozen=True, slots=True)
class Classified:
    """The labelled videos, the labels and the model that labelled them.

    damaged : how many segments were left out because what is stored of them is unreadable
    text_use : how much of the labels, each in its templates, the model has read
    filter_keys : where the filter allows nothing, in how many videos each of its keys is
    """

    model: str
    labels: Sequence[str]
    videos: list[VideoLabels]
    damaged: int
    text_use: TextUse
    filter_keys: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ClipSegmentLabels:
    """The scores of a segment that is not kept, from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    scores: LabelScores


@dataclass(frozen=True, slots=True)
class ClipLabels:
    """The labels of a file that is not kept, and the model that labelled it.

    text_use : how much of the labels, each in its templates, the model has read
    """

    model: str
    duration_s: float
    labels: Sequence[str]
    text_use: TextUse
    scores: LabelScores
    segments: list[ClipSegmentLabels] | None
