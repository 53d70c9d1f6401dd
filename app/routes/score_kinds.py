"""Score kinds: the values of `score_kind` that the REST API documents and answers with.

The client reads any string, so an encoder with a score of its own adds its kinds here and nowhere
else: the plain one, and with `_contrast` and `_sequence` behind it those that it computes for a
negative text and for a chain of events.
"""

from __future__ import annotations

from typing import Any, Final

from app.services.search.query import COSINE

SCORE_KINDS: Final = ("xclip_logit", "xclip_logit_contrast", "xclip_logit_sequence", COSINE)

_ANSWERS: Final = ("SearchAnswer", "SearchResult")


def documented_kind(kind: str) -> str:
    """The same kind. Raises ValueError for one that the OpenAPI document does not list."""
    if kind not in SCORE_KINDS:
        raise ValueError(f"the score kind {kind!r} is missing in {__name__}")
    return kind


def document_score_kinds(schema: dict[str, Any]) -> None:
    """List the kinds as an enum in the OpenAPI document."""
    for name in _ANSWERS:
        properties = schema["components"]["schemas"][name]["properties"]
        properties["score_kind"]["enum"] = list(SCORE_KINDS)
