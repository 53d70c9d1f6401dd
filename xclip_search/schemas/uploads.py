"""Wire models of resumable uploads."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from xclip_search.schemas.fields import (
    AnsweredMetadata,
    ContentType,
    CreatedAt,
    Filename,
    InCollection,
)
from xclip_search.schemas.library import JobAnswer, VideoAnswer
from xclip_search.schemas.values import Answer


class ResumableUploadAnswer(Answer):
    """A resumable upload; once it is complete, its video and its job.

    The video is null again when it has been deleted.
    """

    id: str = Field(description="id of the upload, `upl_…`")
    collection: InCollection
    filename: Filename
    content_type: ContentType
    metadata: AnsweredMetadata
    length: int | None = Field(description="size of the whole file in bytes; null until it is told")
    offset: int = Field(description="how many of its bytes have been received")
    complete: bool = Field(description="whether all of it is here and has become a video")
    created_at: CreatedAt
    expires_at: datetime = Field(description="when it is forgotten unless more of it comes, in UTC")
    video: VideoAnswer | None = Field(
        description="the video it became; null before that, and once deleted"
    )
    job: JobAnswer | None = Field(
        description="the job that ingests the video; null until the upload is complete"
    )
    metadata_not_taken: list[str] = Field(
        default_factory=list,
        description="keys of the metadata sent that the video has with another value: it was here "
        "before, or was changed since",
    )
