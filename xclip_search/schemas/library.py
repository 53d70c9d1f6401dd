"""Wire models of collections, videos, segments and jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from xclip_search.schemas.fields import (
    AnsweredMetadata,
    ContentType,
    CreatedAt,
    EndSeconds,
    Filename,
    InCollection,
    JobId,
    ModelName,
    SegmentId,
    SegmentIndex,
    StartSeconds,
    ThumbnailUrl,
    VideoId,
)
from xclip_search.schemas.values import Accepted, Answer, Metadata, Seconds, Text


class CollectionPut(Accepted):
    """Creates a collection; what is left out takes the service's defaults."""

    window_s: Seconds | None = Field(default=None, description="length of a segment in seconds")
    stride_s: Seconds | None = Field(
        default=None, description="seconds between starts of segments, at most window_s"
    )
    metadata: Metadata | None = Field(
        default=None, description="what to keep with the collection; default: an empty object"
    )


class MetadataPatch(Accepted):
    """Replaces the metadata of a collection or a video."""

    metadata: Metadata = Field(
        description="the new metadata, all of it; keys that are left out are gone"
    )


class UploadFields(Accepted):
    """The fields beside an uploaded video."""

    metadata: Metadata = Field(
        default_factory=dict, description="what to keep with the video, for filters and answers"
    )


class UrlUpload(Accepted):
    """A video that the service fetches by its URL."""

    url: str = Field(
        min_length=1,
        max_length=4_096,
        json_schema_extra={"pattern": r"^\s*[Hh][Tt][Tt][Pp][Ss]?:"},
        description="http or https, without user name or password; docs/url-ingest.md says which "
        "hosts it may name",
    )
    filename: Annotated[Text, Field(max_length=255)] | None = Field(
        default=None, description="the video's file name; default: the last part of the URL"
    )
    metadata: Metadata = Field(
        default_factory=dict, description="what to keep with the video, for filters and answers"
    )


class Failure(Answer):
    """Why a video or a job failed: a stable code and a sentence."""

    code: str = Field(description="what failed, for programs; docs/jobs.md lists the codes")
    message: str = Field(description="what failed, for people")


class SegmentationAnswer(Answer):
    """How the collection's videos are cut, in seconds."""

    window_s: float = Field(description="length of a segment in seconds")
    stride_s: float = Field(
        description="seconds from the start of a segment to the start of the next"
    )


class CollectionAnswer(Answer):
    """A named index."""

    name: str = Field(description="name of the collection, as in its path")
    model: ModelName
    segmentation: SegmentationAnswer = Field(
        description="how its videos are cut into segments; fixed at creation"
    )
    metadata: AnsweredMetadata
    videos: int = Field(description="how many videos it holds, failed ones included")
    segments: int = Field(description="how many segments of them a search can find")
    created_at: CreatedAt


class VideoAnswer(Answer):
    """A video of the library; what the probe found is null until it has run."""

    id: VideoId
    collection: InCollection
    filename: Filename
    further_names: list[str] = Field(
        default_factory=list,
        description="what the same bytes were called when they were sent again, at most 100",
    )
    content_type: ContentType
    size_bytes: int = Field(description="size of the file in bytes")
    sha256: str = Field(description="SHA-256 of the file, as 64 hexadecimal digits")
    status: Literal["processing", "ready", "failed"] = Field(
        description="processing until its job has ended; ready videos are searched"
    )
    container: str | None = Field(
        description="container format as the probe found it, such as mp4 or matroska"
    )
    codec: str | None = Field(
        description="codec of the video stream as the probe found it, such as h264"
    )
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
    metadata: AnsweredMetadata
    error: Failure | None = Field(
        description="why its latest job failed; null unless the status is failed"
    )
    job_id: str = Field(description="id of its latest job, `job_…`")
    created_at: CreatedAt
    content_url: str = Field(description="path of the file's bytes, on the address of the service")
    thumbnail_url: ThumbnailUrl


class JobAnswer(Answer):
    """An ingest in the background; once `searchable_at` is set, searches find the video.

    `error` is why it failed or, before its end, why it must be started again.
    """

    id: JobId
    kind: str = Field(description="what it does: ingest")
    collection: InCollection
    video_id: VideoId
    status: Literal["queued", "running", "succeeded", "failed", "canceled"] = Field(
        description="queued and running jobs go on; the other three have ended"
    )
    revision: int = Field(description="counts the changes of this job")
    stage: str | None = Field(description="probe, encode or commit, while it runs")
    progress: float = Field(description="from 0 to 1")
    seconds_done: float | None = Field(description="seconds of the video indexed so far")
    seconds_total: float | None = Field(description="length of the video in seconds")
    eta_s: float | None = Field(
        description="estimated seconds until it is done, at its speed so far"
    )
    price_s: float | None = Field(
        default=None,
        description="estimated seconds of the whole ingest, told by the number and the size of the "
        "pictures; null until a worker has looked at the file",
    )
    attempts: int = Field(description="how many times it was begun")
    not_before: datetime | None = Field(
        description="the earliest time of the next attempt, after one that failed"
    )
    error: Failure | None = Field(
        description="why it failed, or why its latest attempt did; null if none has"
    )
    created_at: CreatedAt
    started_at: datetime | None = Field(
        description="when its latest attempt began, in UTC; null before the first"
    )
    finished_at: datetime | None = Field(description="when it ended, in UTC; null before that")
    searchable_at: datetime | None = Field(
        description="since when searches find its video, in UTC; null before that"
    )


class UploadAnswer(Answer):
    """The video and the job that makes it searchable."""

    video: VideoAnswer = Field(description="the video that these bytes are")
    job: JobAnswer = Field(description="the job that ingests it, or did")
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

    id: SegmentId
    video_id: VideoId
    index: SegmentIndex
    start: StartSeconds
    end: EndSeconds
    thumbnail_url: ThumbnailUrl


class SegmentEmbedding(Answer):
    """A segment and the vector that the index finds it by."""

    segment_id: SegmentId
    index: SegmentIndex
    start: StartSeconds
    end: EndSeconds
    embedding: str | None = Field(
        description="float32, little-endian, in base64; null if what is stored cannot be read"
    )


class VideoEmbeddings(Answer):
    """A video's segments with their vectors, in order of time."""

    video_id: VideoId
    model: ModelName
    items: list[SegmentEmbedding] = Field(description="the segments, in order of time")
