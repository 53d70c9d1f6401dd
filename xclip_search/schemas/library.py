"""Wire models of collections, videos, segments and jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from xclip_search.schemas.values import Accepted, Answer, Metadata, Seconds, Text


class CollectionPut(Accepted):
    """Creates a collection; what is left out takes the service's defaults."""

    window_s: Seconds | None = Field(default=None, description="length of a segment in seconds")
    stride_s: Seconds | None = Field(default=None, description="seconds between starts of segments")
    metadata: Metadata | None = None


class MetadataPatch(Accepted):
    """Replaces the metadata of a collection or a video."""

    metadata: Metadata


class UploadFields(Accepted):
    """The fields beside an uploaded video."""

    metadata: Metadata = Field(default_factory=dict)


class UrlUpload(Accepted):
    """A video that the service fetches by its URL."""

    url: str = Field(
        min_length=1,
        max_length=4_096,
        description="http or https, without user name or password; docs/url-ingest.md says which "
        "hosts it may name",
    )
    filename: Annotated[Text, Field(max_length=255)] | None = Field(
        default=None, description="the video's file name; default: the last part of the URL"
    )
    metadata: Metadata = Field(default_factory=dict)


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
    further_names: list[str] = Field(
        default_factory=list,
        description="what the same bytes were called when they were sent again, at most 100",
    )
    content_type: str
    size_bytes: int
    sha256: str
    status: Literal["processing", "ready", "failed"]
    container: str | None
    codec: str | None
    width: int | None = Field(
        description="stored pixels in a row as displayed, after rotation; where pixels are not "
        "square, players and thumbnails show another proportion"
    )
    height: int | None = Field(description="stored rows as displayed, after rotation")
    duration_s: float | None = Field(
        description="seconds from the first frame to the end of the last one there is"
    )
    lost_s: float | None = Field(
        description="seconds of the video that could not be decoded and show the last frame "
        "before, and those that the index of a file that was cut off promises after its end; "
        "the latter are not in `duration_s`"
    )
    metadata: dict[str, JsonValue]
    error: Failure | None
    job_id: str
    created_at: datetime
    content_url: str
    thumbnail_url: str


class JobAnswer(Answer):
    """An ingest in the background; once `searchable_at` is set, searches find the video.

    `error` is why it failed or, before its end, why it must be started again.
    """

    id: str
    kind: str
    collection: str
    video_id: str
    status: Literal["queued", "running", "succeeded", "failed", "canceled"]
    revision: int = Field(description="counts the changes of this job")
    stage: str | None = Field(description="probe, encode or commit, while it runs")
    progress: float = Field(description="from 0 to 1")
    seconds_done: float | None = Field(description="seconds of the video indexed so far")
    seconds_total: float | None = Field(description="length of the video in seconds")
    eta_s: float | None = Field(
        description="estimated seconds until it is done, at its speed so far"
    )
    attempts: int
    not_before: datetime | None = Field(
        description="the earliest time of the next attempt, after one that failed"
    )
    error: Failure | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    searchable_at: datetime | None


class UploadAnswer(Answer):
    """The video and the job that makes it searchable."""

    video: VideoAnswer
    job: JobAnswer
    already_here: bool = Field(
        default=False,
        description="the collection holds these bytes already, as this video: its name stays, and "
        "the new one is among its further_names",
    )
    metadata_not_taken: list[str] = Field(
        default_factory=list,
        description="keys of the metadata sent that the video has with another value, which it "
        "keeps (PATCH the video to change it)",
    )


class SegmentAnswer(Answer):
    """A stored window of a video, in seconds from the video's start."""

    id: str
    video_id: str
    index: int
    start: float
    end: float
    thumbnail_url: str


class SegmentEmbedding(Answer):
    """A segment and the vector that the index finds it by."""

    segment_id: str
    index: int
    start: float
    end: float
    embedding: str | None = Field(
        description="float32, little-endian, in base64; null if what is stored cannot be read"
    )


class VideoEmbeddings(Answer):
    """A video's segments with their vectors, in order of time."""

    video_id: str
    model: str
    items: list[SegmentEmbedding]
