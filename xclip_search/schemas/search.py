"""Wire models of searches and heat maps."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from xclip_search.schemas.fields import (
    AnsweredMetadata,
    Confidence,
    ConfidenceKind,
    EndSeconds,
    Filename,
    ModelName,
    NextCursor,
    Score,
    SegmentId,
    SegmentsDamaged,
    StartSeconds,
    ThumbnailUrl,
    VideoId,
)
from xclip_search.schemas.rules import documented, given, needs, never_both, one_of, says
from xclip_search.schemas.values import Accepted, Answer, Filter, Identifier, Text, TextUsage

# Any string, so that a client reads the scores of an encoder that is newer than itself. The server
# lists the kinds that it answers with in the OpenAPI document.
ScoreKind = Annotated[
    str,
    Field(
        description="what the score is: xclip_logit, the model's score for the text; "
        "xclip_logit_contrast, with negative_text; xclip_logit_sequence, the mean over the events "
        "of then; cosine, of searches by example. Other encoders may have other kinds"
    ),
]


_GROUPED = needs("max_per_video", "group_by")


class SearchOptions(Accepted):
    """What is searched, and how the results are paged and arranged."""

    model_config = documented(_GROUPED)

    top_k: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=10, description="results on a page; with group_by, videos"
    )
    filter: Filter | None = Field(
        default=None, description="which segments are searched; default: all"
    )
    group_by: Literal["video"] | None = Field(
        default=None, description="group results by video, the best video first"
    )
    max_per_video: Annotated[int, Field(ge=1, le=1_000)] | None = Field(
        default=None,
        description="with group_by: at most this many results of each video; default 1",
    )
    merge: bool = Field(
        default=False, description="merge overlapping segments into one moment with narrowed bounds"
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

    model_config = documented(
        _GROUPED,
        one_of("text", "segment_id", "then"),
        needs("negative_text", "text"),
        needs("within_s", "then"),
        never_both(given("then"), says("merge", True)),
        never_both(given("segment_id"), given("min_confidence")),
    )

    text: Text | None = Field(default=None, description="what the video shows, in words")
    negative_text: Text | None = Field(
        default=None, description="with text: what the video should not show"
    )
    segment_id: Identifier | None = Field(
        default=None, description="find more like this segment of the collection"
    )
    then: Annotated[list[Text], Field(min_length=2, max_length=5)] | None = Field(
        default=None,
        description="events that follow each other in one video; each time they do is a result",
    )
    within_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = Field(
        default=None, description="with then: seconds from one event to the next at most, else 30"
    )
    min_confidence: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="leave out results with a lower confidence, perhaps all"
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
            raise ValueError("confidence is known for text queries only; leave min_confidence out")
        return self


class SearchBatchRequest(Accepted):
    """Several searches at once."""

    queries: Annotated[list[SearchRequest], Field(min_length=1, max_length=100)] = Field(
        description="1 to 100 searches of the same collection"
    )


class SearchStep(Answer):
    """One event of a sequence, and the segment that shows it."""

    text: str = Field(description="the event's text, as in the request")
    segment_id: SegmentId
    start: StartSeconds
    end: EndSeconds
    score: Score
    confidence: Confidence


class SearchResult(Answer):
    """A ranked moment: a segment, overlapping segments merged into one, or a sequence."""

    segment_id: str = Field(description="the segment that represents the moment")
    video_id: VideoId
    filename: Filename
    start: StartSeconds
    end: EndSeconds
    score: Score
    score_kind: ScoreKind
    confidence: float | None = Field(
        description="how likely this is a true match, 0 to 1; null when none is fitted to the "
        "model, and for searches by example. See docs/confidence.md"
    )
    segment_ids: list[str] = Field(description="all segments of the moment, in order of time")
    steps: list[SearchStep] | None = Field(default=None, description="of a sequence (then)")
    thumbnail_url: ThumbnailUrl
    clip_url: str = Field(
        description="path of the video's bytes, with the moment's seconds as its fragment"
    )
    metadata: AnsweredMetadata


class IndexState(Answer):
    """What was searched; `exact` says that every eligible segment was scored by the model."""

    segments_total: int = Field(description="segments of the collection")
    segments_eligible: int = Field(description="segments of them that the filter allows")
    segments_damaged: SegmentsDamaged
    exact: bool = Field(description="whether the model has scored every eligible segment")
    recall: float | None = Field(
        description="where codes propose the candidates: how many of the nearest segments they "
        "find, as measured on this collection; null when every vector was compared"
    )
    model: ModelName
    snapshot: int = Field(description="the number of the last change that the search has seen")
    filter_keys: dict[str, int] = Field(
        default_factory=dict,
        description="in how many videos of the collection each metadata key of the filter is: all "
        "its keys where the filter allows nothing, else those that are in no video",
    )


class SearchTimings(Answer):
    """Milliseconds of each stage."""

    encode: float = Field(description="milliseconds to turn texts or the clip into vectors")
    filter: float = Field(description="milliseconds to find what the filter allows")
    recall: float = Field(description="milliseconds to find the candidates in the index")
    score: float = Field(description="milliseconds in which the model scores the candidates")
    total: float = Field(description="milliseconds of the whole search, waiting included")


class SearchAnswer(TextUsage):
    """Ranked moments, best first."""

    query: str = Field(
        description="what was searched: the text, the texts of then, the segment or the clip's name"
    )
    results: list[SearchResult] = Field(description="the moments, best first")
    next_cursor: NextCursor
    abstained: bool = Field(description="there were results, but none reached min_confidence")
    score_kind: ScoreKind
    confidence_kind: ConfidenceKind
    index: IndexState = Field(description="what was searched")
    timings_ms: SearchTimings = Field(description="how long each stage took, in milliseconds")


class SearchBatchAnswer(Answer):
    """The answers of a batch, in its order."""

    answers: list[SearchAnswer] = Field(description="one answer for each search")


class HeatmapPiece(Answer):
    """An interval of a video that the same segments cover, and the mean of their scores."""

    start: StartSeconds
    end: EndSeconds
    score: Score
    confidence: float | None = Field(description="the highest of the segments that cover it")


class HeatmapAnswer(TextUsage):
    """What a video scores for a text over time."""

    query: str = Field(description="the text")
    video_id: VideoId
    duration_s: float | None = Field(description="length of the video in seconds")
    confidence_kind: ConfidenceKind
    pieces: list[HeatmapPiece] = Field(
        description="the intervals, in order of time; what no segment covers is left out"
    )
