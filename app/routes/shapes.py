"""From the catalog's records to the bodies that are answered, with their URLs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from app import schemas
from app.catalog.records import Job, Page, Segment, SegmentOfVideo, Video
from app.services.classify import Classified, ClipLabels, Probabilities, VideoLabels
from app.services.library import CollectionView, middle
from app.services.search import Findings, RankedSegment

Record = TypeVar("Record")
Body = TypeVar("Body")

_SECONDS = 3  # decimals of a second in URLs


def page_answer(page: Page[Record], shape: Callable[[Record], Body]) -> schemas.Page[Body]:
    """One page of a list."""
    return schemas.Page(items=list(map(shape, page.items)), next_cursor=page.next_cursor)


def collection_answer(view: CollectionView) -> schemas.CollectionAnswer:
    """A collection and its counts."""
    collection = view.collection
    return schemas.CollectionAnswer(
        name=collection.name,
        model=collection.model,
        segmentation=schemas.SegmentationAnswer(
            window_s=collection.window_s, stride_s=collection.stride_s
        ),
        metadata=_json(collection.metadata),
        videos=view.videos,
        segments=view.segments,
        created_at=collection.created_at,
    )


def video_answer(video: Video) -> schemas.VideoAnswer:
    """A video with the URLs of its bytes and its picture."""
    return schemas.VideoAnswer(
        id=video.id,
        collection=video.collection,
        filename=video.filename,
        content_type=video.content_type,
        size_bytes=video.size_bytes,
        sha256=video.sha256,
        status=video.status,
        container=video.container,
        codec=video.codec,
        width=video.width,
        height=video.height,
        duration_s=video.duration_s,
        metadata=_json(video.metadata),
        error=_failure(video.error_code, video.error_message),
        job_id=video.job_id,
        created_at=video.created_at,
        content_url=f"{_video_url(video)}/content",
        thumbnail_url=f"{_video_url(video)}/thumbnail",
    )


def job_answer(job: Job) -> schemas.JobAnswer:
    """A job; who holds it stays inside."""
    return schemas.JobAnswer(
        id=job.id,
        kind=job.kind,
        collection=job.collection,
        video_id=job.video_id,
        status=job.status,
        stage=job.stage,
        progress=job.progress,
        attempts=job.attempts,
        error=_failure(job.error_code, job.error_message),
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        searchable_at=job.searchable_at,
    )


def segment_answer(video: Video, segment: Segment) -> schemas.SegmentAnswer:
    """A segment of a video."""
    return schemas.SegmentAnswer(
        id=segment.id,
        video_id=segment.video_id,
        index=segment.position,
        start=segment.start_s,
        end=segment.end_s,
        thumbnail_url=_thumbnail_url(video, segment),
    )


def search_answer(query: str, findings: Findings) -> schemas.SearchAnswer:
    """Ranked segments with what they were chosen from."""
    seconds = findings.seconds
    return schemas.SearchAnswer(
        query=query,
        results=list(map(_result, findings.ranked)),
        index=schemas.IndexState(
            segments_total=findings.recall.total,
            segments_eligible=findings.recall.eligible,
            exact=findings.exact,
            model=findings.model,
            sequence=findings.recall.sequence,
        ),
        timings_ms=schemas.SearchTimings(
            encode_text=_milliseconds(seconds.encode_text),
            recall=_milliseconds(seconds.recall),
            score=_milliseconds(seconds.score),
            total=_milliseconds(seconds.total),
        ),
    )


def classify_answer(labels: Sequence[str], classified: Classified) -> schemas.ClassifyAnswer:
    """Probabilities by video and by segment."""
    return schemas.ClassifyAnswer(
        labels=list(labels),
        model=classified.model,
        videos=[_classified_video(labels, video) for video in classified.videos],
    )


def clip_answer(
    filename: str, labels: Sequence[str], model: str, labelled: ClipLabels
) -> schemas.ClipAnswer:
    """Probabilities for a file that was not kept, and for its segments."""
    stretches = zip(labelled.starts, labelled.ends, labelled.probabilities, strict=True)
    return schemas.ClipAnswer(
        labels=list(labels),
        model=model,
        filename=filename,
        duration_s=labelled.duration_s,
        scores=_by_label(labels, np.asarray(labelled.probabilities.mean(axis=0))),
        segments=[
            schemas.ClassifiedStretch(
                start=float(start), end=float(end), scores=_by_label(labels, row)
            )
            for start, end, row in stretches
        ],
    )


def _by_label(labels: Sequence[str], probabilities: Probabilities) -> dict[str, float]:
    """Probabilities, shape (L,), under their labels."""
    return dict(zip(labels, probabilities.tolist(), strict=True))


def _result(ranked: RankedSegment) -> schemas.SearchResult:
    segment, video = ranked.found.segment, ranked.found.video
    start, end = round(segment.start_s, _SECONDS), round(segment.end_s, _SECONDS)
    return schemas.SearchResult(
        segment_id=segment.id,
        video_id=video.id,
        filename=video.filename,
        start=segment.start_s,
        end=segment.end_s,
        score=ranked.score,
        thumbnail_url=_thumbnail_url(video, segment),
        clip_url=f"{_video_url(video)}/content#t={start:g},{end:g}",
        metadata=_json(video.metadata),
    )


def _classified_video(labels: Sequence[str], video: VideoLabels) -> schemas.ClassifiedVideo:
    return schemas.ClassifiedVideo(
        video_id=video.video.id,
        filename=video.video.filename,
        scores=_by_label(labels, video.mean),
        segments=[
            _classified_segment(labels, item, row)
            for item, row in zip(video.segments, video.probabilities, strict=True)
        ],
    )


def _classified_segment(
    labels: Sequence[str], item: SegmentOfVideo, probabilities: Probabilities
) -> schemas.ClassifiedSegment:
    segment = item.segment
    return schemas.ClassifiedSegment(
        segment_id=segment.id,
        index=segment.position,
        start=segment.start_s,
        end=segment.end_s,
        scores=_by_label(labels, probabilities),
    )


def _video_url(video: Video) -> str:
    return f"/v1/collections/{video.collection}/videos/{video.id}"


def _thumbnail_url(video: Video, segment: Segment) -> str:
    # Every digit: the nearest middle must be this segment's own, however close the next one is.
    return f"{_video_url(video)}/thumbnail?t={middle(segment)!r}"


def _failure(code: str | None, message: str | None) -> schemas.Failure | None:
    return None if code is None else schemas.Failure(code=code, message=message or "")


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _json(metadata: Any) -> dict[str, Any]:
    return dict(metadata)
