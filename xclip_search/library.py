"""Library operations: collections, videos, jobs and label sets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from pydantic import JsonValue

from xclip_search import schemas
from xclip_search.errors import StillWaiting
from xclip_search.steps import Call, Flow, Pause, ask, get, json_body, not_ours, parse, part, within
from xclip_search.vectors import VideoVectors, decoded

DEFAULT = "default"  # the collection that always exists
PAGE = 200  # items, the most that a list answers at once

Metadata: TypeAlias = Mapping[str, JsonValue]
JobStatus: TypeAlias = Literal["queued", "running", "succeeded", "failed", "canceled"]
VideoStatus: TypeAlias = Literal["processing", "ready", "failed"]

_ENDED = frozenset({"succeeded", "failed", "canceled"})
_LONGEST_WAIT_S = 30.0  # in one request; well below the timeouts of proxies
_LOOK_AGAIN_S = 0.25


def models() -> Flow[list[schemas.ModelAnswer]]:
    """The models that answer."""
    return (yield from get("/v1/models", schemas.ModelList)).items


def removals() -> Flow[schemas.RemovalsAnswer]:
    """How much of what was deleted is not off the disk yet."""
    return (yield from get("/v1/removals", schemas.RemovalsAnswer))


def collections_page(*, cursor: str | None = None) -> Flow[schemas.Page[schemas.CollectionAnswer]]:
    """Every collection, by name.

    cursor : where to begin, as an answer of the REST API says; by default with the first
    """
    kind = schemas.Page[schemas.CollectionAnswer]
    return (yield from get("/v1/collections", kind, cursor=cursor, limit=PAGE))


def collection(name: str) -> Flow[schemas.CollectionAnswer]:
    """One collection and how much is in it."""
    return (yield from get(within(name), schemas.CollectionAnswer))


def put_collection(
    name: str,
    *,
    window_s: float | None = None,
    stride_s: float | None = None,
    metadata: Metadata | None = None,
) -> Flow[schemas.CollectionAnswer]:
    """Create a collection, or find the existing one with these settings.

    window_s, stride_s : length of a segment and seconds between their starts; by default the
        service's
    metadata : any JSON object
    """
    body = json_body({"window_s": window_s, "stride_s": stride_s, "metadata": metadata})
    answer = yield from ask(Call("PUT", within(name), body=body))
    return parse(answer, schemas.CollectionAnswer)


def describe_collection(name: str, metadata: Metadata) -> Flow[schemas.CollectionAnswer]:
    """Replace a collection's metadata."""
    body = json_body({"metadata": metadata})
    answer = yield from ask(Call("PATCH", within(name), body=body))
    return parse(answer, schemas.CollectionAnswer)


def delete_collection(name: str) -> Flow[int]:
    """Delete a collection with its videos; returns how many removals are not off the disk yet."""
    return (yield from _delete(within(name)))


def videos_page(
    *, collection: str = DEFAULT, status: VideoStatus | None = None, cursor: str | None = None
) -> Flow[schemas.Page[schemas.VideoAnswer]]:
    """Every video of a collection, newest first.

    status : only those that are "processing", "ready" or "failed"
    cursor : where to begin, as an answer of the REST API says; by default with the newest
    """
    kind = schemas.Page[schemas.VideoAnswer]
    path = f"{within(collection)}/videos"
    return (yield from get(path, kind, status=status, cursor=cursor, limit=PAGE))


def video(video_id: str, *, collection: str = DEFAULT) -> Flow[schemas.VideoAnswer]:
    """One video."""
    return (yield from get(_video(collection, video_id), schemas.VideoAnswer))


def describe_video(
    video_id: str, metadata: Metadata, *, collection: str = DEFAULT
) -> Flow[schemas.VideoAnswer]:
    """Replace a video's metadata."""
    call = Call("PATCH", _video(collection, video_id), body=json_body({"metadata": metadata}))
    return parse((yield from ask(call)), schemas.VideoAnswer)


def delete_video(video_id: str, *, collection: str = DEFAULT) -> Flow[int]:
    """Delete a video; returns how many removals are not off the disk yet."""
    return (yield from _delete(_video(collection, video_id)))


def segments(video_id: str, *, collection: str = DEFAULT) -> Flow[list[schemas.SegmentAnswer]]:
    """All of a video's segments in order of time."""
    path = f"{_video(collection, video_id)}/segments"
    return (yield from get(path, schemas.Page[schemas.SegmentAnswer])).items


def embeddings(video_id: str, *, collection: str = DEFAULT) -> Flow[VideoVectors]:
    """A video's segments with their vectors as NumPy arrays of float32, in order of time."""
    answer = yield from ask(Call("GET", f"{_video(collection, video_id)}/embeddings"))
    try:
        return decoded(parse(answer, schemas.VideoEmbeddings))
    except ValueError:
        raise not_ours(answer) from None


def picture(url: str) -> Flow[bytes]:
    """The bytes behind a `thumbnail_url` that an answer named."""
    return (yield from ask(Call("GET", url))).content


def jobs_page(
    *,
    collection: str | None = None,
    status: JobStatus | None = None,
    cursor: str | None = None,
    limit: int = PAGE,
) -> Flow[schemas.Page[schemas.JobAnswer]]:
    """Every job, newest first.

    collection : only this collection's; by default those of all
    status : only those that are "queued", "running", "succeeded", "failed" or "canceled"
    cursor : where to begin, as an answer of the REST API says; by default with the newest
    limit : how many are requested at a time, not how many there are
    """
    kind = schemas.Page[schemas.JobAnswer]
    given = {"collection": collection, "status": status, "cursor": cursor}
    return (yield from get("/v1/jobs", kind, limit=limit, **given))


def job(job_id: str) -> Flow[schemas.JobAnswer]:
    """One job as it is now."""
    return (yield from get(f"/v1/jobs/{part(job_id)}", schemas.JobAnswer))


def wait(
    job_id: str,
    *,
    timeout_s: float | None = None,
    on_change: Callable[[schemas.JobAnswer], object] | None = None,
) -> Flow[schemas.JobAnswer]:
    """The job once it has ended, however it did; `on_change` is called with it about every second.

    Raises StillWaiting after `timeout_s`.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left = _LONGEST_WAIT_S if deadline is None else deadline - time.monotonic()
        longest = 1.0 if on_change else _LONGEST_WAIT_S
        prefer = f"wait={max(0, round(min(left, longest)))}"
        call = Call("GET", f"/v1/jobs/{part(job_id)}", headers={"prefer": prefer})
        found = parse((yield from ask(call)), schemas.JobAnswer)
        if on_change:
            on_change(found)
        if found.status in _ENDED:
            return found
        if timeout_s is not None and deadline is not None and time.monotonic() >= deadline:
            raise StillWaiting(job_id, timeout_s)
        yield Pause(_LOOK_AGAIN_S)  # a stopping service answers waiting requests at once


def cancel(job_id: str) -> Flow[schemas.JobAnswer]:
    """Stop a job that has not ended."""
    return (yield from _act(job_id, "cancel"))


def retry(job_id: str) -> Flow[schemas.JobAnswer]:
    """Queue a job that failed or was canceled again."""
    return (yield from _act(job_id, "retry"))


def label_sets_page(*, cursor: str | None = None) -> Flow[schemas.Page[schemas.LabelSetSummary]]:
    """Every label set, by name, without its labels.

    cursor : where to begin, as an answer of the REST API says; by default with the first
    """
    kind = schemas.Page[schemas.LabelSetSummary]
    return (yield from get("/v1/label-sets", kind, cursor=cursor, limit=PAGE))


def label_set(name: str) -> Flow[schemas.LabelSetAnswer]:
    """One label set."""
    return (yield from get(f"/v1/label-sets/{part(name)}", schemas.LabelSetAnswer))


def put_label_set(
    name: str, labels: Sequence[str], templates: Sequence[str] = ()
) -> Flow[schemas.LabelSetAnswer]:
    """Create a label set, or replace what it holds.

    labels : two texts or more
    templates : texts with one {} each, into which every label is inserted
    """
    body = json_body({"labels": labels, "templates": templates})
    answer = yield from ask(Call("PUT", f"/v1/label-sets/{part(name)}", body=body))
    return parse(answer, schemas.LabelSetAnswer)


def delete_label_set(name: str) -> Flow[None]:
    """Delete a label set."""
    yield from ask(Call("DELETE", f"/v1/label-sets/{part(name)}", repeatable=False))


def _act(job_id: str, action: str) -> Flow[schemas.JobAnswer]:
    call = Call("POST", f"/v1/jobs/{part(job_id)}:{action}", repeatable=False)
    return parse((yield from ask(call)), schemas.JobAnswer)


def _delete(path: str) -> Flow[int]:
    # a second one would get 404, although the first one succeeded
    answer = yield from ask(Call("DELETE", path, repeatable=False))
    return parse(answer, schemas.DeletedAnswer).pending_removals if answer.content else 0


def _video(collection: str, video_id: str) -> str:
    return f"{within(collection)}/videos/{part(video_id)}"
