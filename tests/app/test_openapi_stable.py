"""Compatibility: the OpenAPI document differs from that of version 0.1 in prose and additions only.

`ADDED` lists each addition with its reason, `CHANGED` what was documented wrongly or takes more.
Nothing else that version 0.1 had goes or changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.main import create_app
from app.routes.files import FILE_MEDIA_TYPES
from app.settings import Settings

RELEASED = Path(__file__).parents[1] / "data" / "openapi-0.1.json"
# An operation id names the method of a client that is made from the document. Those of version 0.1
# were the framework's and named the path; no request holds them.
PROSE = {"description", "summary", "title", "operationId"}
_SCHEMAS = "/components/schemas"
_CUT_TEXTS = "an answer says which texts the model has read only the beginning of"
ADDED = {
    **{
        f"{_SCHEMAS}/{answer}/properties/{field}": _CUT_TEXTS
        for answer in ("SearchAnswer", "HeatmapAnswer", "ClassifyAnswer", "ClipAnswer")
        for field in ("truncated", "truncated_texts", "tokens")
    },
    f"{_SCHEMAS}/LabelSetAnswer/properties/truncated_texts": _CUT_TEXTS,
    f"{_SCHEMAS}/EmbeddingAnswer/properties/truncated": _CUT_TEXTS,
    f"{_SCHEMAS}/EmbeddingList/properties/truncated": _CUT_TEXTS,
}
_UNKNOWN_KEYS = "a misspelt key in a filter is told from a rare value"
_KNOWN_BYTES = "known bytes sent again lose neither name nor metadata"
ADDED |= {
    f"{_SCHEMAS}/{answer}/properties/{field}": _KNOWN_BYTES
    for answer, field in (
        ("VideoAnswer", "further_names"),
        ("UploadAnswer", "already_here"),
        ("UploadAnswer", "metadata_not_taken"),
        ("ResumableUploadAnswer", "metadata_not_taken"),
    )
}
ADDED |= {
    f"{_SCHEMAS}/{answer}/properties/filter_keys": _UNKNOWN_KEYS
    for answer in ("IndexState", "ClassifyAnswer")
}
ADDED[f"{_SCHEMAS}/JobAnswer/properties/price_s"] = "whose video is long is told before it is done"
ADDED["/paths//v1/collections/{collection}/uploads/post/responses/409"] = (
    "no worker could ingest it"
)
_VIDEO = "/paths//v1/collections/{collection}/videos/{video_id}"
_BODIES = {
    "content": FILE_MEDIA_TYPES,
    "clip": ("video/mp4", "video/webm"),
    "thumbnail": ("image/webp",),
    "sprite": ("image/webp",),
    "sprite.vtt": ("text/vtt",),
}
_BYTES = "a body is documented as bytes or text, where it was documented as anything"
ADDED |= {
    f"{_VIDEO}/{name}/get/responses/{status}/content/{media_type}/schema": _BYTES
    for name, media_types in _BODIES.items()
    for media_type in media_types
    for status in (200, 206)
}
ADDED |= {
    "/paths//metrics/get/responses/200/content/text/plain/schema": _BYTES,
    "/paths//v1/jobs/{job_id}/events/get/responses/200/content/text/event-stream/schema": _BYTES,
}
_LATER_LENGTH = "the length of an upload may be told later"
_ANNOUNCE = "/paths//v1/collections/{collection}/uploads/post/parameters"
_LENGTH = f"{_SCHEMAS}/ResumableUploadAnswer/properties/length"
ADDED |= {
    f"{_ANNOUNCE}/upload-defer-length": _LATER_LENGTH,
    "/paths//v1/uploads/{upload_id}/patch/parameters/upload-length": _LATER_LENGTH,
    f"{_LENGTH}/anyOf": _LATER_LENGTH,
}
_COLLECTION = "/paths//v1/collections/{collection}"
ADDED |= {
    f"{route}/responses/415": "JSON without its content type was refused in the validator's words"
    for route in (
        f"{_COLLECTION}/put",
        f"{_COLLECTION}/patch",
        f"{_COLLECTION}/videos/{{video_id}}/patch",
        f"{_COLLECTION}/search/post",
        f"{_COLLECTION}/search:batch/post",
        f"{_COLLECTION}/classify/post",
        "/paths//v1/embeddings/post",
        "/paths//v1/label-sets/{name}/put",
    )
}
# What was documented wrongly, or takes more than it did.
CHANGED = {
    "/paths//v1/uploads/{upload_id}/head/responses/200/content": "the answer to HEAD has no body",
    f"{_ANNOUNCE}/upload-length/required": _LATER_LENGTH,
    f"{_ANNOUNCE}/upload-length/schema": _LATER_LENGTH,
    f"{_LENGTH}/type": _LATER_LENGTH,
}
# What version 0.1 enforced and did not document: of texts, labels, templates and URLs, between
# fields, of the parts of a form; and the headers of the tus protocol.
ENFORCED = re.compile(
    rf"^{_SCHEMAS}/(ClassifyRequest|EmbeddingRequest|LabelSetPut|SearchRequest)/(allOf$|properties/"
    r"(labels|templates|input|model|text|negative_text|then)/.*(minLength|pattern|uniqueItems)$)"
    r"|^/paths/.*/post/requestBody/.*/(allOf|additionalProperties|minLength|pattern|uniqueItems)$"
    r"|/heatmap/get/parameters/q/schema/(minLength|pattern)$"
    r"|/parameters/upload-metadata/schema/anyOf/0/maxLength$"
    r"|^/paths//v1/.*uploads.*/(responses/\d+/headers|parameters/tus-resumable/(required|schema/.*))$"
)
NAMED = {"properties", "schemas"}  # their keys are names, which may read like prose's


def _by_name(parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {parameter["name"]: parameter for parameter in parameters}


def without_prose(node: Any, keys_are_names: bool = False) -> Any:
    """The document without what only people read, and parameters by their names."""
    if isinstance(node, dict):
        return {
            key: without_prose(_by_name(value) if key == "parameters" else value, key in NAMED)
            for key, value in node.items()
            if keys_are_names or key not in PROSE
        }
    return [without_prose(item) for item in node] if isinstance(node, list) else node


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Each place where two documents differ unforeseen, as `path: before -> after`."""
    if (before is None and path in ADDED) or path in CHANGED or ENFORCED.search(path):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{path}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{path}/{number}")
    elif before != after:
        yield f"{path}: {json.dumps(before)} -> {json.dumps(after)}"


def test_the_document_is_that_of_version_0_1() -> None:
    """Nothing has gone or changed since version 0.1, and nothing has come that is not listed."""
    today = without_prose(json.loads(json.dumps(create_app(Settings()).openapi())))
    assert list(differences(without_prose(json.loads(RELEASED.read_text())), today)) == []
