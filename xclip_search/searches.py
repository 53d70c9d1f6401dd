"""Search operations: searches, heat maps and zero-shot labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypedDict

from pydantic import JsonValue

from xclip_search import schemas
from xclip_search.library import DEFAULT
from xclip_search.sources import VideoFile
from xclip_search.steps import (
    AnswerT,
    Call,
    Flow,
    FormBody,
    ask,
    get,
    json_body,
    parse,
    part,
    source_of,
    within,
)


class SearchQuery(TypedDict, total=False):
    """One search of a batch: what `search` takes under the same names."""

    text: str | None
    then: Sequence[str] | None
    within_s: float | None
    negative_text: str | None
    segment_id: str | None
    min_confidence: float | None
    filter: Mapping[str, JsonValue] | None
    group_by: Literal["video"] | None
    max_per_video: int | None
    merge: bool | None
    top_k: int | None
    cursor: str | None
    after_job: str | None
    deadline_ms: int | None


def search(
    text: str | None = None,
    *,
    collection: str = DEFAULT,
    then: Sequence[str] | None = None,
    within_s: float | None = None,
    negative_text: str | None = None,
    segment_id: str | None = None,
    min_confidence: float | None = None,
    filter: Mapping[str, JsonValue] | None = None,  # noqa: A002  the name on the wire
    group_by: Literal["video"] | None = None,
    max_per_video: int | None = None,
    merge: bool | None = None,
    top_k: int | None = None,
    cursor: str | None = None,
    after_job: str | None = None,
    deadline_ms: int | None = None,
) -> Flow[schemas.SearchAnswer]:
    """Ranked moments, best first: by one of `text`, `then` and `segment_id`.

    text : what the video shows, in words
    then : two to five texts, events that follow each other in one video
    within_s : with `then`, the most seconds from one event to the next
    negative_text : with `text`, what the video should not show
    segment_id : a segment of the collection; finds more like it
    min_confidence : leave out results with a lower confidence, 0 to 1
    filter : which segments are searched, such as {"camera": "north"}
    group_by, max_per_video : "video" groups by video, with so many results of each
    merge : merge overlapping segments into one moment
    top_k : how many results, with `group_by` how many videos; the service's default is 10
    cursor : `next_cursor` of the answer before, all else unchanged
    after_job, deadline_ms : wait for this job first, at most so many milliseconds
    """
    query = SearchQuery(
        text=text,
        then=then,
        within_s=within_s,
        negative_text=negative_text,
        segment_id=segment_id,
        min_confidence=min_confidence,
        filter=filter,
        group_by=group_by,
        max_per_video=max_per_video,
        merge=merge,
        top_k=top_k,
        cursor=cursor,
        after_job=after_job,
        deadline_ms=deadline_ms,
    )
    return (yield from _post(f"{within(collection)}/search", query, schemas.SearchAnswer))


def search_all_page(
    text: str | None = None,
    *,
    collection: str = DEFAULT,
    then: Sequence[str] | None = None,
    within_s: float | None = None,
    negative_text: str | None = None,
    segment_id: str | None = None,
    min_confidence: float | None = None,
    filter: Mapping[str, JsonValue] | None = None,  # noqa: A002  the name on the wire
    group_by: Literal["video"] | None = None,
    max_per_video: int | None = None,
    merge: bool | None = None,
    top_k: int | None = None,
    cursor: str | None = None,
    after_job: str | None = None,
    deadline_ms: int | None = None,
) -> Flow[schemas.Page[schemas.SearchResult]]:
    """Every ranked moment, best first, page after page; takes what `search` takes.

    top_k : how many results are requested at a time, not how many there are
    cursor : where to begin; by default with the best
    """
    answer = yield from search(
        text,
        collection=collection,
        then=then,
        within_s=within_s,
        negative_text=negative_text,
        segment_id=segment_id,
        min_confidence=min_confidence,
        filter=filter,
        group_by=group_by,
        max_per_video=max_per_video,
        merge=merge,
        top_k=top_k,
        cursor=cursor,
        after_job=after_job,
        deadline_ms=deadline_ms,
    )
    return schemas.Page(items=answer.results, next_cursor=answer.next_cursor)


def search_batch(
    queries: Iterable[str | SearchQuery], *, collection: str = DEFAULT
) -> Flow[list[schemas.SearchAnswer]]:
    """Several searches in one request, answered in their order.

    queries : 1 to 100 texts, or dicts of what `search` takes, such as {"text": …, "top_k": 3}
    """
    if isinstance(queries, str | Mapping):
        raise TypeError("search_batch takes a list of searches; for a single one there is search")
    each = [{"text": query} if isinstance(query, str) else query for query in queries]
    body = {"queries": [json_body(query) for query in each]}
    path = f"{within(collection)}/search:batch"
    return (yield from _post(path, body, schemas.SearchBatchAnswer)).answers


def search_clip(
    file: VideoFile,
    *,
    collection: str = DEFAULT,
    filename: str | None = None,
    filter: Mapping[str, JsonValue] | None = None,  # noqa: A002  the name on the wire
    group_by: Literal["video"] | None = None,
    max_per_video: int | None = None,
    merge: bool | None = None,
    top_k: int | None = None,
    cursor: str | None = None,
    after_job: str | None = None,
    deadline_ms: int | None = None,
) -> Flow[schemas.SearchAnswer]:
    """Ranked moments like a video that the service does not keep; raises OSError.

    file : a path, bytes, or a file that was opened in binary mode
    filename : the video's name, which the answer repeats; by default the file's

    The other parameters are those of `search`.
    """
    options = {
        "filter": filter,
        "group_by": group_by,
        "max_per_video": max_per_video,
        "merge": merge,
        "top_k": top_k,
        "cursor": cursor,
        "after_job": after_job,
        "deadline_ms": deadline_ms,
    }
    path = f"{within(collection)}/search:clip"
    return (yield from _send(path, file, filename, options, schemas.SearchAnswer))


def heatmap(video_id: str, text: str, *, collection: str = DEFAULT) -> Flow[schemas.HeatmapAnswer]:
    """What a video scores for a text, over time."""
    path = f"{within(collection)}/videos/{part(video_id)}/heatmap"
    return (yield from get(path, schemas.HeatmapAnswer, q=text))


def classify(
    labels: Sequence[str] | None = None,
    *,
    collection: str = DEFAULT,
    label_set: str | None = None,
    templates: Sequence[str] | None = None,
    video_ids: Sequence[str] | None = None,
    segment_ids: Sequence[str] | None = None,
    filter: Mapping[str, JsonValue] | None = None,  # noqa: A002  the name on the wire
    top: int | None = None,
    segments: bool | None = None,
    mode: Literal["single", "multi"] | None = None,
    none_of_these: bool | None = None,
) -> Flow[schemas.ClassifyAnswer]:
    """Probabilities of labels for what is stored: by one of `labels` and `label_set`.

    labels : two texts or more
    label_set : the name of stored labels
    templates : texts with one {} each, into which every label is inserted
    video_ids, segment_ids, filter : what is labelled, at most one of the three; by default all
    top : return only so many labels, the most probable first
    segments : whether the scores of each segment are returned too; by default they are
    mode : "single", where one label fits, or "multi", where any number may
    none_of_these : in mode "single", let the model's bank of texts compete with the labels
    """
    options = {
        "labels": labels,
        "label_set": label_set,
        "templates": templates,
        "video_ids": video_ids,
        "segment_ids": segment_ids,
        "filter": filter,
        "top": top,
        "segments": segments,
        "mode": mode,
        "none_of_these": none_of_these,
    }
    return (yield from _post(f"{within(collection)}/classify", options, schemas.ClassifyAnswer))


def classify_file(
    file: VideoFile,
    labels: Sequence[str] | None = None,
    *,
    filename: str | None = None,
    label_set: str | None = None,
    templates: Sequence[str] | None = None,
    top: int | None = None,
    segments: bool | None = None,
    mode: Literal["single", "multi"] | None = None,
    none_of_these: bool | None = None,
    window_s: float | None = None,
    stride_s: float | None = None,
) -> Flow[schemas.ClipAnswer]:
    """Probabilities of labels for a video that the service does not keep; raises OSError.

    file : a path, bytes, or a file that was opened in binary mode
    filename : the video's name, which the answer repeats; by default the file's
    window_s, stride_s : length of a segment and seconds between their starts; by default the
        service's

    The other parameters are those of `classify`.
    """
    options = {
        "labels": labels,
        "label_set": label_set,
        "templates": templates,
        "top": top,
        "segments": segments,
        "mode": mode,
        "none_of_these": none_of_these,
        "window_s": window_s,
        "stride_s": stride_s,
    }
    path = "/v1/classify"
    return (yield from _send(path, file, filename, options, schemas.ClipAnswer))


def _post(path: str, options: Mapping[str, object], kind: type[AnswerT]) -> Flow[AnswerT]:
    """Ask; scoring a library takes as long as the service lets it."""
    call = Call("POST", path, body=json_body(options), unhurried=True)
    return parse((yield from ask(call)), kind)


def _send(
    path: str,
    file: VideoFile,
    filename: str | None,
    options: Mapping[str, object],
    kind: type[AnswerT],
) -> Flow[AnswerT]:
    """Ask with a file; decoding takes as long as the service lets it."""
    source = yield from source_of(file, filename)
    try:
        call = Call("POST", path, body=FormBody(source, json_body(options)), unhurried=True)
        return parse((yield from ask(call)), kind)
    finally:
        source.close()
