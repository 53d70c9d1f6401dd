"""The shapes of the REST surface: what is accepted, strictly, and what is answered.

Accepted: unknown fields, NaN, NUL, lone surrogates and texts without a visible character are
refused. Answered: snake_case, seconds as numbers, RFC 3339 UTC.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

Item = TypeVar("Item")

_INT64 = 2**63
_MAX_METADATA_CHARACTERS = 16_384
_MAX_METADATA_DEPTH = 16


def _check_text(text: str) -> str:
    """Trimmed text a person could have meant; a refusal says why."""
    _check_string(text)
    if not any(unicodedata.category(char)[0] not in "CZ" for char in text):
        raise ValueError("must contain a visible character")
    return text.strip()


def _check_string(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("must not contain lone surrogates")
    return text


def _check_number(number: float) -> float:
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError("must be finite")
    if isinstance(number, int) and not -_INT64 <= number < _INT64:
        raise ValueError("must fit 64 bits")
    return number


def _check_metadata(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Every leaf storable in any catalog; size and depth bounded. Iterative: depth is untrusted."""
    characters = 0
    todo: list[tuple[JsonValue, int]] = [(metadata, 0)]
    while todo:
        value, depth = todo.pop()
        if depth > _MAX_METADATA_DEPTH:
            raise ValueError(f"must not be nested deeper than {_MAX_METADATA_DEPTH} levels")
        if isinstance(value, dict):
            todo += [(key, depth) for key in value] + [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            todo += [(item, depth + 1) for item in value]
        elif isinstance(value, str):
            characters += len(_check_string(value))
        elif isinstance(value, int | float):
            _check_number(value)
        characters += 4
        if characters > _MAX_METADATA_CHARACTERS:
            raise ValueError(f"must not be longer than about {_MAX_METADATA_CHARACTERS} characters")
    return metadata


Text = Annotated[str, Field(max_length=1_000), AfterValidator(_check_text)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_check_metadata)]
Seconds = Annotated[float, Field(ge=0.1, le=86_400, allow_inf_nan=False)]
Labels = Annotated[list[Text], Field(min_length=2, max_length=1_000)]
Identifier = Annotated[str, Field(pattern=r"^[a-z]{3}_[0-9a-z]{1,64}$")]
Identifiers = Annotated[list[Identifier], Field(min_length=1, max_length=1_000)]
Scalar = (
    None
    | StrictBool
    | Annotated[StrictInt, AfterValidator(_check_number)]
    | Annotated[StrictFloat, AfterValidator(_check_number)]
    | Annotated[StrictStr, Field(max_length=1_000), AfterValidator(_check_string)]
)
FilterKey = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_check_string)]
FilterValue = Scalar | Annotated[list[Scalar], Field(max_length=1_000)]
Filter = Annotated[dict[FilterKey, FilterValue], Field(max_length=16)]


class Accepted(BaseModel):
    """A body that is accepted: closed, so a misspelt option never silently does nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CollectionPut(Accepted):
    """Creates a collection; what is left out takes the service's defaults."""

    window_s: Seconds | None = Field(default=None, description="length of a segment in seconds")
    stride_s: Seconds | None = Field(default=None, description="seconds between starts of segments")
    metadata: Metadata | None = None


class MetadataPatch(Accepted):
    """Replaces the metadata of a collection or a video."""

    metadata: Metadata


class SearchRequest(Accepted):
    """A search in words; `filter` keeps videos whose metadata has one of the given values."""

    text: Text
    top_k: Annotated[int, Field(ge=1, le=200, strict=True)] = 10
    filter: Filter = Field(
        default_factory=dict,
        description="metadata key, or video_id, to the value or the list of values it must be",
    )


class ClassifyRequest(Accepted):
    """Zero-shot labels over indexed videos or segments; neither means the whole collection."""

    labels: Labels
    video_ids: Identifiers | None = None
    segment_ids: Identifiers | None = None

    @model_validator(mode="after")
    def _check_choice(self) -> Self:
        if self.video_ids is not None and self.segment_ids is not None:
            raise ValueError("give video_ids or segment_ids, not both")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels must differ from each other")
        return self


class UploadFields(Accepted):
    """The fields beside an uploaded video."""

    metadata: Metadata = Field(default_factory=dict)


class ClipRequest(Accepted):
    """The fields beside an upload that is classified and not kept."""

    labels: Labels
    window_s: Seconds | None = None
    stride_s: Seconds | None = None


class Answer(BaseModel):
    """A body that is answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Failure(Answer):
    """Why a video or a job failed: a stable code and a sentence."""

    code: str
    message: str


class SegmentationAnswer(Answer):
    """How the collection's videos are cut, in seconds."""

    window_s: float
    stride_s: float


class CollectionAnswer(Answer):
    """A named index."""

    name: str
    model: str
    segmentation: SegmentationAnswer
    metadata: dict[str, JsonValue]
    videos: int
    segments: int
    created_at: datetime


class VideoAnswer(Answer):
    """A video of the library; what the probe found is null until it has run."""

    id: str
    collection: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    status: Literal["processing", "ready", "failed"]
    container: str | None
    codec: str | None
    width: int | None
    height: int | None
    duration_s: float | None
    metadata: dict[str, JsonValue]
    error: Failure | None
    job_id: str
    created_at: datetime
    content_url: str
    thumbnail_url: str


class JobAnswer(Answer):
    """A piece of slow work; once `searchable_at` is set, searches find the video."""

    id: str
    kind: str
    collection: str
    video_id: str
    status: Literal["queued", "running", "succeeded", "failed", "canceled"]
    stage: str | None
    progress: float
    attempts: int
    error: Failure | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    searchable_at: datetime | None


class UploadAnswer(Answer):
    """The video and the job that makes it searchable."""

    video: VideoAnswer
    job: JobAnswer


class SegmentAnswer(Answer):
    """A stretch of a video that is found as one, in seconds from the video's start."""

    id: str
    video_id: str
    index: int
    start: float
    end: float
    thumbnail_url: str


class SearchResult(Answer):
    """A ranked segment."""

    segment_id: str
    video_id: str
    filename: str
    start: float
    end: float
    score: float
    score_kind: Literal["xclip_logit"] = "xclip_logit"
    thumbnail_url: str
    clip_url: str
    metadata: dict[str, JsonValue]


class IndexState(Answer):
    """What was searched; `exact` says that every eligible segment was scored by the model."""

    segments_total: int
    segments_eligible: int
    exact: bool
    model: str
    sequence: int


class SearchTimings(Answer):
    """Milliseconds of each stage."""

    encode_text: float
    recall: float
    score: float
    total: float


class SearchAnswer(Answer):
    """Ranked segments, best first."""

    query: str
    results: list[SearchResult]
    index: IndexState
    timings_ms: SearchTimings


class ClassifiedSegment(Answer):
    """A stored segment's probability for each label."""

    segment_id: str
    index: int
    start: float
    end: float
    scores: Mapping[str, float]


class ClassifiedVideo(Answer):
    """A video's probability for each label: the mean of its segments'."""

    video_id: str
    filename: str
    scores: Mapping[str, float]
    segments: list[ClassifiedSegment]


class ClassifyAnswer(Answer):
    """Probabilities over the labels for each video."""

    labels: list[str]
    model: str
    videos: list[ClassifiedVideo]


class ClassifiedStretch(Answer):
    """One segment of an upload that was not kept."""

    start: float
    end: float
    scores: Mapping[str, float]


class ClipAnswer(Answer):
    """Probabilities over the labels for an upload that was not kept."""

    labels: list[str]
    model: str
    filename: str
    duration_s: float
    scores: Mapping[str, float]
    segments: list[ClassifiedStretch]


class ModelAnswer(Answer):
    """What the worker's model is."""

    name: str
    fingerprint: str
    num_frames: int
    image_size: int
    dim: int
    prompt_shape: tuple[int, int]
    logit_scale: float
    device: str
    dtype: str


class ModelList(Answer):
    """The models that answer."""

    items: list[ModelAnswer]


class Page(Answer, Generic[Item]):
    """One page of a list; hand `next_cursor` back for the next."""

    items: list[Item]
    next_cursor: str | None


class ProblemField(Answer):
    """Where a request is wrong, and why."""

    loc: list[str | int]
    msg: str


class Problem(Answer):
    """RFC 9457: why a request was not served."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemField] | None = None


class CheckAnswer(Answer):
    """Whether one dependency works, and what is wrong with it if not."""

    ok: bool
    detail: str


class ReadyAnswer(Answer):
    """Whether the service can do its work, by dependency."""

    ready: bool
    checks: Mapping[str, CheckAnswer]
