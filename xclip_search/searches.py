"""Search operations: searches, heat maps and zero-shot labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from pydantic import JsonValue

from xclip_search import schemas
from xclip_search.library import DEFAULT
from xclip_search.steps import (
    AnswerT,
    Call,
    FilePath,
    Flow,
    FormBody,
    ask,
    get,
    parse,
    part,
    within,
)


class SearchParameters(TypedDict, total=False):
    """What is searched and how the answer is arranged: see SearchOptions of the REST API."""

    top_k: int | None
    filter: Mapping[str, JsonValue] | None
    group_by: Literal["video"] | None
    max_per_video: int | None
    merge: bool | None
    cursor: str | None
    after_job: str | None
    deadline_ms: int | None


class SearchQuery(SearchParameters, total=False):
    """A search by one of `text`, `segment_id` and `then`; what is None is left out."""

    text: str | None
    negative_text: str | None
    segment_id: str | None
    then: Sequence[str] | None
    within_s: float | None
    min_confidence: float | None


class LabelOptions(TypedDict, total=False):
    """Which labels are scored and how: see LabelRequest of the REST API."""

    labels: Sequence[str] | None
    label_set: str | None
    templates: Sequence[str] | None
    top: int | None
    segments: bool | None
    mode: Literal["single", "multi"] | None
    none_of_these: bool | None


class StoredPart(LabelOptions, total=False):
    """Labels, and which part of a collection they are for: at most one of these."""

    video_ids: Sequence[str] | None
    segment_ids: Sequence[str] | None
    filter: Mapping[str, JsonValue] | None


class ClipCut(LabelOptions, total=False):
    """Labels, and how a file is cut in segments."""

    window_s: float | None
    stride_s: float | None


def search(collection: str = DEFAULT, **query: Unpack[SearchQuery]) -> Flow[schemas.SearchAnswer]:
    """Ranked moments, best first."""
    return (yield from _post(f"{within(collection)}/search", query, schemas.SearchAnswer))


def results_page(
    collection: str = DEFAULT, **query: Unpack[SearchQuery]
) -> Flow[schemas.Page[schemas.SearchResult]]:
    """Ranked moments without end, best first; `top_k` is the size of a page."""
    answer = yield from search(collection, **query)
    return schemas.Page(items=answer.results, next_cursor=answer.next_cursor)


def search_batch(
    queries: Iterable[SearchQuery], collection: str = DEFAULT
) -> Flow[list[schemas.SearchAnswer]]:
    """Several searches in one request, answered in their order."""
    body = {"queries": [_given(query) for query in queries]}
    path = f"{within(collection)}/search:batch"
    return (yield from _post(path, body, schemas.SearchBatchAnswer)).answers


def search_clip(
    file: FilePath, collection: str = DEFAULT, **options: Unpack[SearchParameters]
) -> Flow[schemas.SearchAnswer]:
    """Ranked moments like a file that the service does not keep; raises OSError."""
    path = f"{within(collection)}/search:clip"
    return (yield from _send(path, file, options, schemas.SearchAnswer))


def heatmap(video_id: str, text: str, collection: str = DEFAULT) -> Flow[schemas.HeatmapAnswer]:
    """What a video scores for a text, over time."""
    path = f"{within(collection)}/videos/{part(video_id)}/heatmap"
    return (yield from get(path, schemas.HeatmapAnswer, q=text))


def classify(
    collection: str = DEFAULT, **options: Unpack[StoredPart]
) -> Flow[schemas.ClassifyAnswer]:
    """Probabilities of labels for what is stored."""
    return (yield from _post(f"{within(collection)}/classify", options, schemas.ClassifyAnswer))


def classify_file(file: FilePath, **options: Unpack[ClipCut]) -> Flow[schemas.ClipAnswer]:
    """Probabilities of labels for a file that the service does not keep; raises OSError."""
    return (yield from _send("/v1/classify", file, options, schemas.ClipAnswer))


def _post(path: str, options: Mapping[str, Any], kind: type[AnswerT]) -> Flow[AnswerT]:
    """Ask; scoring a library takes as long as the service lets it."""
    call = Call("POST", path, body=_given(options), unhurried=True)
    return parse((yield from ask(call)), kind)


def _send(
    path: str, file: FilePath, options: Mapping[str, Any], kind: type[AnswerT]
) -> Flow[AnswerT]:
    """Ask with a file; decoding takes as long as the service lets it."""
    call = Call("POST", path, body=FormBody(Path(file), _given(options)), unhurried=True)
    return parse((yield from ask(call)), kind)


def _given(options: Mapping[str, Any]) -> dict[str, JsonValue]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value is not None
    }
