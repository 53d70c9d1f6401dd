"""Response serializers: from the catalog's records to the bodies, with their URLs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from app.catalog.records import Job, LabelSet, LabelSetListing, Metadata, RecordPage, Segment, Video
from app.routes.score_kinds import documented_kind
from app.services.classify.probabilities import LabelScores
from app.services.classify.types import Classified, ClipLabels, SegmentLabels, VideoLabels
from app.services.ingest.resumable_uploads import UploadProgress
from app.services.library.library import CollectionView, middle
from app.services.search.moments import Heatmap
from app.services.search.query import Moment, RankedSegment, SearchPage
from app.services.text_use import TextUse
from xclip_search import schemas

Record = TypeVar("Record")
Body = TypeVar("Body")

_SECONDS = 3  # decimals of a second in URLs


def page_answer(page: RecordPage[Record], shape: Callable[[Record], Body]) -> schemas.Page[Body]:
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
        further_names=list(video.further_names),
        content_type=video.content_type,
        size_bytes=video.size_bytes,
        sha256=video.sha256,
        status=video.status,
        container=video.container,
        codec=video.codec,
        width=video.width,
        height=video.height,
        duration_s=video.duration_s,
        lost_s=video.lost_s,
        metadata=_json(video.metadata),
        error=_failure(video.error_code, video.error_message),
        job_id=video.job_id,
        created_at=video.created_at,
        content_url=f"{_video_url(video)}/content",
        thumbnail_url=f"{_video_url(video)}/thumbnail",
    )


def resumable_upload_answer(
    progress: UploadProgress, video: schemas.VideoAnswer | None, job: schemas.JobAnswer | None
) -> schemas.ResumableUploadAnswer:
    """A resumable upload, and the video and job it became."""
    upload = progress.upload
    return schemas.ResumableUploadAnswer(
        id=upload.id,
        collection=upload.collection,
        filename=upload.filename,
        content_type=upload.content_type,
        metadata=_json(upload.metadata),
        length=upload.length,
        offset=progress.offset,
        complete=upload.video_id is not None,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        video=video,
        job=job,
        metadata_not_taken=[] if video is None else not_taken(upload.metadata, video.metadata),
    )


def not_taken(sent: Metadata, kept: Metadata) -> list[str]:
    """The keys of the metadata sent that the video has with another value, or not at all."""
    return [key for key in sent if key not in kept or kept[key] != sent[key]]


def job_answer(job: Job, now: datetime | None = None) -> schemas.JobAnswer:
    """A job, without the holder of its lease. `eta_s` is null when `now` is not given."""
    return schemas.JobAnswer(
        id=job.id,
        kind=job.kind,
        collection=job.collection,
        video_id=job.video_id,
        status=job.status,
        revision=job.revision,
        stage=job.stage,
        progress=job.progress,
        seconds_done=job.seconds_done,
        seconds_total=job.seconds_total,
        eta_s=None if now is None else _eta_s(job, now),
        price_s=job.price_s,
        attempts=job.attempts,
        not_before=job.not_before,
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


def search_answer(query: Sequence[str], page: SearchPage) -> schemas.SearchAnswer:
    """Ranked moments with what they were chosen from; `query` are its texts."""
    seconds = page.seconds
    score_kind = documented_kind(page.score_kind)
    return schemas.SearchAnswer(
        query=" → ".join(query),
        **_text_use(page.text_use),
        results=[_result(moment, query, score_kind) for moment in page.moments],
        next_cursor=page.next_cursor,
        abstained=page.abstained,
        score_kind=score_kind,
        confidence_kind=page.confidence_kind,
        index=schemas.IndexState(
            segments_total=page.recall.total,
            segments_eligible=page.recall.eligible,
            segments_damaged=page.damaged,
            exact=page.exact,
            recall=page.recall.measured,
            model=page.model,
            snapshot=page.recall.sequence,
            filter_keys=dict(page.filter_keys),
        ),
        timings_ms=schemas.SearchTimings(
            encode=_milliseconds(seconds.encode),
            filter=_milliseconds(seconds.filter),
            recall=_milliseconds(seconds.recall),
            score=_milliseconds(seconds.score),
            total=_milliseconds(seconds.total),
        ),
    )


def heatmap_answer(query: str, heatmap: Heatmap) -> schemas.HeatmapAnswer:
    """A video's scores over time, without the intervals that no segment covers."""
    curve = heatmap.curve
    intervals = []
    for number, score in enumerate(curve.scores.tolist()):
        confidence = None if heatmap.confidence is None else float(heatmap.confidence[number])
        if not math.isnan(score):
            start, end = float(curve.edges[number]), float(curve.edges[number + 1])
            intervals.append(
                schemas.HeatmapPiece(start=start, end=end, score=score, confidence=confidence)
            )
    return schemas.HeatmapAnswer(
        query=query,
        **_text_use(heatmap.text_use),
        video_id=heatmap.video.id,
        duration_s=heatmap.video.duration_s,
        confidence_kind=heatmap.confidence_kind,
        pieces=intervals,
    )


def classify_answer(classified: Classified) -> schemas.ClassifyAnswer:
    """Probabilities by video and by segment."""
    labels = classified.labels
    return schemas.ClassifyAnswer(
        labels=list(labels),
        **_text_use(classified.text_use),
        model=classified.model,
        segments_damaged=classified.damaged,
        filter_keys=dict(classified.filter_keys),
        videos=[_classified_video(labels, video) for video in classified.videos],
    )


def clip_answer(filename: str, labelled: ClipLabels) -> schemas.ClipAnswer:
    """Probabilities for a file that was not kept, and for its segments."""
    labels = labelled.labels
    return schemas.ClipAnswer(
        labels=list(labels),
        **_text_use(labelled.text_use),
        model=labelled.model,
        filename=filename,
        duration_s=labelled.duration_s,
        scores=_by_label(labels, labelled.scores),
        none_of_these=labelled.scores.none_of_these,
        segments=None
        if labelled.segments is None
        else [
            schemas.ClassifiedStretch(
                start=segment.start_s,
                end=segment.end_s,
                scores=_by_label(labels, segment.scores),
                none_of_these=segment.scores.none_of_these,
            )
            for segment in labelled.segments
        ],
    )


def label_set_answer(label_set: LabelSet, use: TextUse | None = None) -> schemas.LabelSetAnswer:
    """A label set and what is in it, with what the model has just read of it."""
    return schemas.LabelSetAnswer(
        name=label_set.name,
        labels=list(label_set.labels),
        templates=list(label_set.templates),
        created_at=label_set.created_at,
        updated_at=label_set.updated_at,
        truncated_texts=None if use is None else list(use.truncated),
    )


def label_set_summary(label_set: LabelSetListing) -> schemas.LabelSetSummary:
    """A label set in a list."""
    return schemas.LabelSetSummary(
        name=label_set.name,
        size=label_set.size,
        templates=list(label_set.templates),
        created_at=label_set.created_at,
        updated_at=label_set.updated_at,
    )


def _text_use(use: TextUse) -> dict[str, Any]:
    """The fields of `schemas.TextUsage`."""
    return {
        "truncated": bool(use.truncated),
        "truncated_texts": list(use.truncated),
        "tokens": use.tokens,
    }


def _by_label(labels: Sequence[str], scores: LabelScores) -> dict[str, float]:
    """The answered probabilities under their labels."""
    chosen = zip(scores.indices.tolist(), scores.probabilities.tolist(), strict=True)
    return {labels[index]: probability for index, probability in chosen}


def _result(moment: Moment, texts: Sequence[str], score_kind: str) -> schemas.SearchResult:
    segment, video = moment.best.found.segment, moment.best.found.video
    start, end = round(moment.start, _SECONDS), round(moment.end, _SECONDS)
    steps = [_step(text, step) for text, step in zip(texts, moment.steps, strict=False)]
    return schemas.SearchResult(
        segment_id=segment.id,
        video_id=video.id,
        filename=video.filename,
        start=moment.start,
        end=moment.end,
        score=moment.best.score,
        score_kind=score_kind,
        confidence=moment.best.confidence,
        segment_ids=[each.id for each in moment.segments],
        steps=steps or None,
        thumbnail_url=_thumbnail_url(video, segment),
        clip_url=f"{_video_url(video)}/content#t={start:g},{end:g}",
        metadata=_json(video.metadata),
    )


def _step(text: str, step: RankedSegment) -> schemas.SearchStep:
    segment = step.found.segment
    return schemas.SearchStep(
        text=text,
        segment_id=segment.id,
        start=segment.start_s,
        end=segment.end_s,
        score=step.score,
        confidence=step.confidence,
    )


def _classified_video(labels: Sequence[str], video: VideoLabels) -> schemas.ClassifiedVideo:
    return schemas.ClassifiedVideo(
        video_id=video.video.id,
        filename=video.video.filename,
        scores=_by_label(labels, video.scores),
        none_of_these=video.scores.none_of_these,
        segments=None
        if video.segments is None
        else [_classified_segment(labels, item) for item in video.segments],
    )


def _classified_segment(labels: Sequence[str], item: SegmentLabels) -> schemas.ClassifiedSegment:
    segment = item.segment
    return schemas.ClassifiedSegment(
        segment_id=segment.id,
        index=segment.position,
        start=segment.start_s,
        end=segment.end_s,
        scores=_by_label(labels, item.scores),
        none_of_these=item.scores.none_of_these,
    )


def _video_url(video: Video) -> str:
    return f"/v1/collections/{video.collection}/videos/{video.id}"


def _thumbnail_url(video: Video, segment: Segment) -> str:
    # Every digit: the nearest middle must be this segment's own, however close the next one is.
    return f"{_video_url(video)}/thumbnail?t={middle(segment)!r}"


def _eta_s(job: Job, now: datetime) -> float | None:
    if job.status != "running" or job.started_at is None or job.progress <= 0:
        return None
    spent = max(0.0, (now - job.started_at).total_seconds())
    return round(spent * (1 - job.progress) / job.progress, 1)


def _failure(code: str | None, message: str | None) -> schemas.Failure | None:
    return None if code is None else schemas.Failure(code=code, message=message or "")


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _json(metadata: Any) -> dict[str, Any]:
    return dict(metadata)
