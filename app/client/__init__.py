"""REST client, under its former name: `xclip_search` holds it."""

from __future__ import annotations

from xclip_search import (
    ApiError,
    AsyncClient,
    Client,
    SearchQuery,
    SegmentVector,
    ServiceAway,
    StillWaiting,
    Unfinished,
    Uploaded,
    VideoVectors,
)

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "SearchQuery",
    "SegmentVector",
    "ServiceAway",
    "StillWaiting",
    "Unfinished",
    "Uploaded",
    "VideoVectors",
]
