"""Answer fields: the types of values that several answers hold, each described once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

VideoId = Annotated[str, Field(description="id of the video, `vid_…`")]
SegmentId = Annotated[str, Field(description="id of the segment, `seg_…`")]
JobId = Annotated[str, Field(description="id of the job, `job_…`")]
InCollection = Annotated[str, Field(description="name of the collection that it belongs to")]
ModelName = Annotated[str, Field(description="name of the model, as GET /v1/models says it")]
Filename = Annotated[
    str, Field(description="what the sender called the file, cut to 255 characters; a label only")
]
ContentType = Annotated[
    str, Field(description="the media type that the sender named; a label, which nothing believes")
]
AnsweredMetadata = Annotated[
    dict[str, JsonValue], Field(description="what users keep with it: any JSON object")
]
SegmentIndex = Annotated[
    int, Field(description="the segment's place among those of its video, from 0")
]
StartSeconds = Annotated[
    float, Field(description="where it begins, in seconds from the start of the video")
]
EndSeconds = Annotated[
    float, Field(description="where it ends, in seconds from the start of the video")
]
Score = Annotated[
    float, Field(description="the higher, the better; comparable within one answer only")
]
Confidence = Annotated[
    float | None,
    Field(
        description="how likely this is a true match, 0 to 1; null when none is fitted to the "
        "model, and for searches by example. See docs/confidence.md"
    ),
]
ConfidenceKind = Annotated[
    Literal["calibrated", "estimated"] | None,
    Field(
        description="calibrated: confidences were fitted to searches with known answers; "
        "estimated: they were computed without a fit; null: there are none"
    ),
]
LabelScores = Annotated[
    Mapping[str, float],
    Field(description="probability of each label, 0 to 1; with top, the most probable first"),
]
AnsweredLabels = Annotated[list[str], Field(description="the labels, in the order of the request")]
AnsweredTemplates = Annotated[
    list[str],
    Field(description="texts with one {} each, where a label goes; empty: labels stand alone"),
]
SegmentsDamaged = Annotated[
    int,
    Field(description="left out because their stored data cannot be read; they are rebuilt"),
]
ThumbnailUrl = Annotated[
    str, Field(description="path of a picture of it (WebP), on the address of the service")
]
CreatedAt = Annotated[datetime, Field(description="when it was created, in UTC")]
NextCursor = Annotated[
    str | None,
    Field(description="send it as `cursor` to get the next page; null on the last one"),
]
