"""The shapes of the REST surface: what is accepted, strictly, and what is answered.

Accepted: unknown fields, NaN, NUL, lone surrogates and texts without a visible character are
refused. Answered: snake_case, seconds as numbers, RFC 3339 UTC.
"""

from __future__ import annotations

from app.schemas.classify import (
    ClassifiedSegment,
    ClassifiedStretch,
    ClassifiedVideo,
    ClassifyAnswer,
    ClassifyRequest,
    ClipAnswer,
    ClipRequest,
    LabelRequest,
    LabelSetAnswer,
    LabelSetPut,
    LabelSetSummary,
)
from app.schemas.library import (
    CollectionAnswer,
    CollectionPut,
    Failure,
    JobAnswer,
    MetadataPatch,
    SegmentAnswer,
    SegmentationAnswer,
    UploadAnswer,
    UploadFields,
    UrlUpload,
    VideoAnswer,
)
from app.schemas.search import (
    HeatmapAnswer,
    HeatmapPiece,
    IndexState,
    SearchAnswer,
    SearchBatchAnswer,
    SearchBatchRequest,
    SearchOptions,
    SearchRequest,
    SearchResult,
    SearchStep,
    SearchTimings,
)
from app.schemas.system import (
    CheckAnswer,
    DeletedAnswer,
    ModelAnswer,
    ModelList,
    Problem,
    ProblemField,
    ReadyAnswer,
    RemovalsAnswer,
)
from app.schemas.uploads import ResumableUploadAnswer
from app.schemas.values import Accepted, Answer, Page, Text

__all__ = [
    "Accepted",
    "Answer",
    "CheckAnswer",
    "ClassifiedSegment",
    "ClassifiedStretch",
    "ClassifiedVideo",
    "ClassifyAnswer",
    "ClassifyRequest",
    "ClipAnswer",
    "ClipRequest",
    "CollectionAnswer",
    "CollectionPut",
    "DeletedAnswer",
    "Failure",
    "HeatmapAnswer",
    "HeatmapPiece",
    "IndexState",
    "JobAnswer",
    "LabelRequest",
    "LabelSetAnswer",
    "LabelSetPut",
    "LabelSetSummary",
    "MetadataPatch",
    "ModelAnswer",
    "ModelList",
    "Page",
    "Problem",
    "ProblemField",
    "ReadyAnswer",
    "RemovalsAnswer",
    "ResumableUploadAnswer",
    "SearchAnswer",
    "SearchBatchAnswer",
    "SearchBatchRequest",
    "SearchOptions",
    "SearchRequest",
    "SearchResult",
    "SearchStep",
    "SearchTimings",
    "SegmentAnswer",
    "SegmentationAnswer",
    "Text",
    "UploadAnswer",
    "UploadFields",
    "UrlUpload",
    "VideoAnswer",
]
