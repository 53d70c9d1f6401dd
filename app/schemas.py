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
    model_validator,
)

Item = TypeVar("Item")

ScoreKind = Literal["xclip_logit", "xclip_logit_contrast", "xclip_logit_sequence", "cosine"]

_INT64 = 2**63
_MAX_METADATA_CHARACTERS = 16_384
_MAX_METADATA_DEPTH = 16
_MAX_FILTER_CHARACTERS = 131_072
_MAX_FILTER_DEPTH = 40  # the language's own bound, of 16 filters in each other, comes first


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


def _check_labels(labels: list[str]) -> list[str]:
    if len(set(labels)) < len(labels):
        raise ValueError("labels must differ from each other")
    return labels


def _check_template(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError("must hold {} exactly once, where the label goes")
    return template


def _check_metadata(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _check_json(metadata, _MAX_METADATA_DEPTH, _MAX_METADATA_CHARACTERS)
    return metadata


def _check_filter(raw: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _check_json(raw, _MAX_FILTER_DEPTH, _MAX_FILTER_CHARACTERS)
    return raw


def _check_json(body: JsonValue, max_depth: int, max_characters: int) -> None:
    """Every leaf storable in any catalog; size and depth bounded. Iterative: depth is untrusted."""
    characters = 0
    todo: list[tuple[JsonValue, int]] = [(body, 0)]
    while todo:
        value, depth = todo.pop()
        if depth > max_depth:
            raise ValueError(f"must not be nested deeper than {max_depth} levels")
        if isinstance(value, dict):
            todo += [(key, depth) for key in value] + [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list):
            todo += [(item, depth + 1) for item in value]
        elif isinstance(value, str):
            characters += len(_check_string(value))
        elif isinstance(value, int | float):
            _check_number(value)
        characters += 4
        if characters > max_characters:
            raise ValueError(f"must not be longer than about {max_characters} characters")


Text = Annotated[str, Field(max_length=1_000), AfterValidator(_check_text)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_check_metadata)]
Seconds = Annotated[float, Field(ge=0.1, le=86_400, allow_inf_nan=False)]
Labels = Annotated[
    list[Text], Field(min_length=2, max_length=10_000), AfterValidator(_check_labels)
]
Template = Annotated[Text, AfterValidator(_check_template)]
Templates = Annotated[list[Template], Field(max_length=100)]
LabelSetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z]{3}_[0-9a-z]{1,64}$")]
Identifiers = Annotated[list[Identifier], Field(min_length=1, max_length=1_000)]
Filter = Annotated[
    dict[str, JsonValue],
    AfterValidator(_check_filter),
    Field(
        description="Fields to what they must be: a value, a list of values, or an object of the "
        "operators eq, ne, in, gt, gte, lt, lte, exists; all must hold. and, or (lists of filters) "
        "and not (a filter) combine. Fields are video_id, duration, created, start, end and the "
        "keys of the video's metadata; metadata.KEY always means the metadata.",
        examples=[{"camera": ["north", "south"], "duration": {"gte": 10, "lt": 60}}],
    ),
]


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


class SearchOptions(Accepted):
    """What is searched, and how the answer is cut and arranged."""

    top_k: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=10, description="results on a page; with group_by, videos"
    )
    filter: Filter | None = Field(
        default=None, description="what is searched: the segments this allows, or all"
    )
    group_by: Literal["video"] | None = Field(
        default=None, description="bring results together by video, the best video first"
    )
    max_per_video: Annotated[int, Field(ge=1, le=1_000)] | None = Field(
        default=None, description="with group_by: at most so many results of each video, else 1"
    )
    merge: bool = Field(
        default=False, description="make one moment with tightened bounds of overlapping segments"
    )
    cursor: Annotated[str, Field(max_length=100_000, pattern=r"^[!-~]*$")] | None = Field(
        default=None, description="next_cursor of the page before; the rest of the body unchanged"
    )
    after_job: Identifier | None = Field(
        default=None, description="wait until this job's segments can be found"
    )
    deadline_ms: Annotated[int, Field(ge=0, le=60_000)] = Field(
        default=10_000, description="how long after_job may wait, in milliseconds"
    )

    @model_validator(mode="after")
    def _check_arrangement(self) -> Self:
        if self.max_per_video is not None and self.group_by is None:
            raise ValueError('max_per_video needs group_by: "video"')
        return self


class SearchRequest(SearchOptions):
    """A search by one of text, segment_id and then."""

    text: Text | None = Field(default=None, description="what is to be seen, in words")
    negative_text: Text | None = Field(
        default=None, description="with text: what is rather not to be seen"
    )
    segment_id: Identifier | None = Field(
        default=None, description="find more like this segment of the collection"
    )
    then: Annotated[list[Text], Field(min_length=2, max_length=5)] | None = Field(
        default=None, description="events that follow each other in one video"
    )
    within_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = Field(
        default=None, description="with then: seconds from one event to the next at most, else 30"
    )
    min_confidence: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="leave out what is less certain; then there may be no results"
    )

    @model_validator(mode="after")
    def _check_query(self) -> Self:
        if sum(part is not None for part in (self.text, self.segment_id, self.then)) != 1:
            raise ValueError("give one of text, segment_id and then")
        if self.negative_text is not None and self.text is None:
            raise ValueError("negative_text needs text")
        if self.within_s is not None and self.then is None:
            raise ValueError("within_s needs then")
        if self.then is not None and self.merge:
            raise ValueError("the results of then are moments already; leave merge out")
        if self.segment_id is not None and self.min_confidence is not None:
            raise ValueError("confidence is known for words only; leave min_confidence out")
        return self


class SearchBatchRequest(Accepted):
    """Several searches at once."""

    queries: Annotated[list[SearchRequest], Field(min_length=1, max_length=100)]


class LabelRequest(Accepted):
    """Which labels to score, and how much of the result to answer."""

    labels: Labels | None = None
    label_set: LabelSetName | None = Field(
        default=None, description="the name of a stored label set, instead of labels"
    )
    templates: Templates | None = Field(
        default=None,
        description="texts that hold {} once: each label is put in all of them and their "
        "embeddings are averaged; left out: the label set's, or the labels as they are",
        examples=[["a video of {}", "{}"]],
    )
    top: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="answer only so many labels, the most probable first"
    )
    segments: bool = Field(default=True, description="answer the scores of each segment too")
    mode: Literal["single", "multi"] = Field(
        default="single",
        description="single: one label fits, probabilities add up to 1. multi: each label has a "
        "confidence of its own, any number may fit",
    )
    none_of_these: bool = Field(
        default=False,
        description="in mode single: let what the model knows besides compete with the labels",
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

    video_ids: Identifiers | None = None
    segment_ids: Identifiers | None = None
    filter: Filter | None = Field(
        default=None, description="label the segments that this allows, as in a search"
    )

    @model_validator(mode="after")
    def _check_part(self) -> Self:
        parts = (self.video_ids, self.segment_ids, self.filter)
        if sum(part is not None for part in parts) > 1:
            raise ValueError("give one of video_ids, segment_ids and filter")
        return self


class LabelSetPut(Accepted):
    """Creates a label set, or replaces what it holds."""

    labels: Labels
    templates: Templates = Field(
        default_factory=list, description="what each label is put in, unless a request says other"
    )


class UploadFields(Accepted):
    """The fields beside an uploaded video."""

    metadata: Metadata = Field(default_factory=dict)


class ClipRequest(LabelRequest):
    """The fields beside an upload that is classified and not kept."""

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


class SearchStep(Answer):
    """One event of a sequence, and the segment that shows it."""

    text: str
    segment_id: str
    start: float
    end: float
    score: float
    confidence: float | None


class SearchResult(Answer):
    """A ranked moment: a segment, what overlapping segments were merged into, or a sequence."""

    segment_id: str = Field(description="the segment that speaks for the moment")
    video_id: str
    filename: str
    start: float
    end: float
    score: float
    score_kind: ScoreKind
    confidence: float | None = Field(
        description="the chance that this is a true match; null when nothing is fitted to the "
        "model, and for searches by example. See docs/confidence.md"
    )
    segment_ids: list[str] = Field(description="all segments of the moment, in order of time")
    steps: list[SearchStep] | None = Field(default=None, description="of a sequence (then)")
    thumbnail_url: str
    clip_url: str
    metadata: dict[str, JsonValue]


class IndexState(Answer):
    """What was searched; `exact` says that every eligible segment was scored by the model."""

    segments_total: int
    segments_eligible: int
    exact: bool
    model: str
    snapshot: int = Field(description="the number of the last change that the search has seen")


class SearchTimings(Answer):
    """Milliseconds of each stage."""

    encode: float
    filter: float
    recall: float
    score: float
    total: float


class SearchAnswer(Answer):
    """Ranked moments, best first."""

    query: str
    results: list[SearchResult]
    next_cursor: str | None
    abstained: bool = Field(description="nothing is as certain as min_confidence asks")
    score_kind: ScoreKind
    confidence_kind: Literal["calibrated", "estimated"] | None
    index: IndexState
    timings_ms: SearchTimings


class SearchBatchAnswer(Answer):
    """The answers of a batch, in its order."""

    answers: list[SearchAnswer]


class HeatmapPiece(Answer):
    """A stretch of a video that the same segments cover, and the mean of their scores."""

    start: float
    end: float
    score: float
    confidence: float | None = Field(description="of the surest segment that covers the stretch")


class HeatmapAnswer(Answer):
    """What a video scores for a text over time."""

    query: str
    video_id: str
    duration_s: float | None
    confidence_kind: Literal["calibrated", "estimated"] | None
    pieces: list[HeatmapPiece]


class ClassifiedSegment(Answer):
    """A stored segment's probability for each label."""

    segment_id: str
    index: int
    start: float
    end: float
    scores: Mapping[str, float]
    none_of_these: float | None = Field(default=None, description="present when asked for")


class ClassifiedVideo(Answer):
    """A video's probabilities: the mean of its segments', in mode multi the highest."""

    video_id: str
    filename: str
    scores: Mapping[str, float]
    none_of_these: float | None = Field(default=None, description="present when asked for")
    segments: list[ClassifiedSegment] | None = Field(
        default=None, description="left out when the request says segments: false"
    )


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
    none_of_these: float | None = Field(default=None, description="present when asked for")


class ClipAnswer(Answer):
    """Probabilities over the labels for an upload that was not kept."""

    labels: list[str]
    model: str
    filename: str
    duration_s: float
    scores: Mapping[str, float]
    none_of_these: float | None = Field(default=None, description="present when asked for")
    segments: list[ClassifiedStretch] | None = Field(
        default=None, description="left out when the request says segments: false"
    )


class LabelSetAnswer(Answer):
    """Labels under a name; with templates, each label is put in all of them."""

    name: str
    labels: list[str]
    templates: list[str]
    created_at: datetime
    updated_at: datetime


class LabelSetSummary(Answer):
    """A label set without its labels; `size` is how many they are."""

    name: str
    size: int
    templates: list[str]
    created_at: datetime
    updated_at: datetime


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
