"""Wire models of resumable uploads."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, JsonValue

from xclip_search.schemas.library import JobAnswer, VideoAnswer
from xclip_search.schemas.values import Answer


class ResumableUploadAnswer(Answer):
    """A resumable upload; once it is complete, its video and its job.

    The video is null again when it has been deleted.
    """

    id: str
    collection: str
    filename: str
    content_type: str
    metadata: dict[str, JsonValue]
    length: int
    offset: int
    complete: bool
    created_at: datetime
    expires_at: datetime
    video: VideoAnswer | None
    job: JobAnswer | None
    metadata_not_taken: list[str] = Field(
        default_factory=list,
        description="keys of the metadata sent that the video has with another value: it was here "
        "before, or was changed since",
    )
