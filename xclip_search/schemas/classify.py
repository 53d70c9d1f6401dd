"""Wire models of zero-shot classification and label sets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from xclip_search.schemas.fields import (
    AnsweredLabels,
    AnsweredTemplates,
    CreatedAt,
    EndSeconds,
    Filename,
    LabelScores,
    ModelName,
    SegmentId,
    SegmentIndex,
    SegmentsDamaged,
    StartSeconds,
    VideoId,
)
from xclip_search.schemas.rules import at_most_one_of, documented, never_both, one_of, says
from xclip_search.schemas.values import (
    Accepted,
    Answer,
    Filter,
    Identifiers,
    Labels,
    LabelSetName,
    Seconds,
    Templates,
    TextUsage,
)

_LABELS = (
    one_of("labels", "label_set"),
    never_both(says("mode", "multi"), says("none_of_these", True)),
)


class LabelRequest(Accepted):
    """Which labels to score, and how much of the result to return."""

    model_config = documented(*_LABELS)

    labels: Labels | None = Field(
        default=None, description="2 to 10000 texts, of which no two may read the same"
    )
    label_set: LabelSetName | None = Field(
        default=None, description="the name of a stored label set, instead of labels"
    )
    templates: Templates | None = Field(
        default=None,
        description="texts with one {} each: every label is inserted into each of them, and the "
        "embeddings are averaged; default: the label set's templates, or the labels alone",
        examples=[["a video of {}", "{}"]],
    )
    top: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="return only this many labels, the most probable first"
    )
    segments: bool = Field(default=True, description="return the scores of each segment too")
    mode: Literal["single", "multi"] = Field(
        default="single",
        description="single: one label fits, probabilities add up to 1. multi: each label has a "
        "confidence of its own, any number may fit",
    )
    none_of_these: bool = Field(
        default=False,
        description="in mode single: let the texts of the model's bank compete with the labels",
    )

    @model_validator(mode="after")
    def _check_labels_choice(self) -> Self:
        if self.none_of_these and self.mode == "multi":
            raise ValueError("in mode multi no label needs to fit; leave none_of_these out")
        if (self.labels is None) == (self.label_set is None):
            raise ValueError("give labels or label_set, one of the two")
        return self


class ClassifyRequest(LabelRequest):
    """Zero-shot labels over one part of a collection; no part means all of it."""

    model_config = documented(*_LABELS, at_most_one_of("video_ids", "segment_ids", "filter"))

    video_ids: Identifiers | None = Field(
        default=None, description="label only these videos, 1 to 1000 of the collection"
    )
    segment_ids: Identifiers | None = Field(
        default=None, description="label only these segments, 1 to 1000 of the collection"
    )
    filter: Filter | None = Field(
        default=None, description="label the segments that this allows, as in a search"
    )

    @model_validator(mode="after")
    def _check_part(self) -> Self:
        parts = (self.video_ids, self.segment_ids, self.filter)
        if sum(part is not None for part in parts) > 1:
            raise ValueError("give one of video_ids, segment_ids and filter")
        return self


class ClipRequest(LabelRequest):
    """The fields beside an upload that is classified but not stored."""

    window_s: Seconds | None = Field(
        default=None, description="length of a segment in seconds; default: the service's"
    )
    stride_s: Seconds | None = Field(
        default=None,
        description="seconds between starts of segments, at most window_s; default: the service's",
    )


class LabelSetPut(Accepted):
    """Creates a label set, or replaces what it holds."""

    labels: Labels = Field(description="2 to 10000 texts, of which no two may read the same")
    templates: Templates = Field(
        default_factory=list,
        description="texts into which each label is inserted, unless a request has its own",
    )


class ClassifiedSegment(Answer):
    """A stored segment's probability for each label."""

    segment_id: SegmentId
    index: SegmentIndex
    start: StartSeconds
    end: EndSeconds
    scores: LabelScores
    none_of_these: float | None = Field(default=None, description="present when requested")


class ClassifiedVideo(Answer):
    """A video's probabilities: the mean of its segments', in mode multi the highest."""

    video_id: VideoId
    filename: Filename
    scores: LabelScores
    none_of_these: float | None = Field(default=None, description="present when requested")
    segments: list[ClassifiedSegment] | None = Field(
        default=None, description="left out when the request says segments: false"
    )


class ClassifyAnswer(TextUsage):
    """Probabilities over the labels for each video."""

    labels: AnsweredLabels
    model: ModelName
    segments_damaged: SegmentsDamaged
    videos: list[ClassifiedVideo] = Field(description="the videos with labelled segments")
    filter_keys: dict[str, int] = Field(
        default_factory=dict,
        description="in how many videos of the collection each metadata key of the filter is: all "
        "its keys where the filter allows nothing, else those that are in no video",
    )


class ClassifiedStretch(Answer):
    """One segment of an upload that was not stored."""

    start: StartSeconds
    end: EndSeconds
    scores: LabelScores
    none_of_these: float | None = Field(default=None, description="present when requested")


class ClipAnswer(TextUsage):
    """Probabilities over the labels for an upload that was not stored."""

    labels: AnsweredLabels
    model: ModelName
    filename: Filename
    duration_s: float = Field(description="length of the video in seconds")
    scores: LabelScores
    none_of_these: float | None = Field(default=None, description="present when requested")
    segments: list[ClassifiedStretch] | None = Field(
        default=None, description="left out when the request says segments: false"
    )


class LabelSetAnswer(Answer):
    """Labels under a name; with templates, each label is inserted into each of them."""

    name: str = Field(description="name of the label set, as in its path")
    labels: list[str] = Field(description="its labels, in the order they were given")
    templates: AnsweredTemplates
    created_at: CreatedAt
    updated_at: datetime = Field(description="when it was last replaced, in UTC")
    truncated_texts: list[str] | None = Field(
        default=None,
        description="the labels whose end the model does not read; null where it has not just read "
        "them, as when a set is looked up",
    )


class LabelSetSummary(Answer):
    """A label set without its labels; `size` is how many they are."""

    name: str = Field(description="name of the label set, as in its path")
    size: int = Field(description="how many labels it holds")
    templates: AnsweredTemplates
    created_at: CreatedAt
    updated_at: datetime = Field(description="when it was last replaced, in UTC")
