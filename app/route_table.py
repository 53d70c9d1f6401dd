"""Route table: one row for every route, with its scope, its cost class and its body limit.

Authentication, admission control and the body limit all read this table. An application with a
route that has no row does not start (`app.security.access_table.check_access_table`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

from app.catalog.api_keys import Scope

Need: TypeAlias = Scope | Literal["public"]

JSON_BODY_BYTES: Final = 1 << 20
LABELS_BODY_BYTES: Final = 16 << 20  # ten thousand labels of a thousand letters, with room


class Cost(Enum):
    """What a request takes."""

    QUERY = "query"
    CLIP = "clip"
    UPLOAD = "upload"
    LIGHT = "light"


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """A row of the table.

    need       : the scope that a key must have
    cost       : the class that admission control counts a request in
    body_bytes : how large a body may be; a route that receives files raises it for each request
    """

    need: Need
    cost: Cost = Cost.LIGHT
    body_bytes: int = JSON_BODY_BYTES


_V1 = "/v1/collections/{collection}"
_VIDEO = f"{_V1}/videos/{{video_id}}"

ROUTE_TABLE: Mapping[tuple[str, str], RoutePolicy] = {
    ("GET", "/livez"): RoutePolicy("public"),
    ("GET", "/readyz"): RoutePolicy("public"),  # without a key: whether it is ready, not why
    ("GET", "/"): RoutePolicy("public"),
    ("GET", "/static"): RoutePolicy("public"),
    ("GET", "/docs"): RoutePolicy("public"),
    ("GET", "/swagger"): RoutePolicy("public"),
    ("GET", "/openapi.json"): RoutePolicy("public"),
    ("GET", "/metrics"): RoutePolicy("read"),  # a scraper's key should not be one that deletes
    ("POST", "/v1/session"): RoutePolicy("read"),
    ("DELETE", "/v1/session"): RoutePolicy("read"),
    ("GET", "/v1/models"): RoutePolicy("read"),
    ("POST", "/v1/embeddings"): RoutePolicy("read", Cost.QUERY),
    ("GET", "/v1/removals"): RoutePolicy("read"),
    ("GET", "/v1/collections"): RoutePolicy("read"),
    ("GET", _V1): RoutePolicy("read"),
    ("PUT", _V1): RoutePolicy("write"),
    ("PATCH", _V1): RoutePolicy("write"),
    ("DELETE", _V1): RoutePolicy("admin"),  # deletes what others put there, all of it
    ("POST", f"{_V1}/search"): RoutePolicy("read", Cost.QUERY),
    ("POST", f"{_V1}/search:batch"): RoutePolicy("read", Cost.QUERY),
    ("POST", f"{_V1}/search:clip"): RoutePolicy(
        "read", Cost.CLIP
    ),  # the uploaded clip is not stored
    ("POST", f"{_V1}/classify"): RoutePolicy("read", Cost.QUERY, body_bytes=LABELS_BODY_BYTES),
    ("POST", "/v1/classify"): RoutePolicy("read", Cost.CLIP, body_bytes=LABELS_BODY_BYTES),
    ("GET", f"{_V1}/videos"): RoutePolicy("read"),
    ("POST", f"{_V1}/videos"): RoutePolicy("write", Cost.UPLOAD),
    ("GET", _VIDEO): RoutePolicy("read"),
    ("PATCH", _VIDEO): RoutePolicy("write"),
    ("DELETE", _VIDEO): RoutePolicy("write"),
    ("GET", f"{_VIDEO}/content"): RoutePolicy("read"),
    ("GET", f"{_VIDEO}/thumbnail"): RoutePolicy("read"),
    ("GET", f"{_VIDEO}/sprite"): RoutePolicy("read"),
    ("GET", f"{_VIDEO}/sprite.vtt"): RoutePolicy("read"),
    ("GET", f"{_VIDEO}/clip"): RoutePolicy("read", Cost.CLIP),
    ("GET", f"{_VIDEO}/segments"): RoutePolicy("read"),
    ("GET", f"{_VIDEO}/heatmap"): RoutePolicy("read", Cost.QUERY),
    ("GET", f"{_VIDEO}/embeddings"): RoutePolicy("read"),
    ("OPTIONS", "/v1/uploads"): RoutePolicy("read"),
    ("POST", f"{_V1}/uploads"): RoutePolicy("write", Cost.UPLOAD),
    ("GET", "/v1/uploads/{upload_id}"): RoutePolicy("read"),  # an upload is its own key's only
    ("PATCH", "/v1/uploads/{upload_id}"): RoutePolicy("write", Cost.UPLOAD),
    ("DELETE", "/v1/uploads/{upload_id}"): RoutePolicy("write"),
    ("GET", "/v1/label-sets"): RoutePolicy("read"),
    ("GET", "/v1/label-sets/{name}"): RoutePolicy("read"),
    ("PUT", "/v1/label-sets/{name}"): RoutePolicy("write", body_bytes=LABELS_BODY_BYTES),
    ("DELETE", "/v1/label-sets/{name}"): RoutePolicy("write"),
    ("GET", "/v1/jobs"): RoutePolicy("read"),
    ("GET", "/v1/jobs/{job_id}"): RoutePolicy("read"),
    ("GET", "/v1/jobs/{job_id}/events"): RoutePolicy("read"),
    ("POST", "/v1/jobs/{job_id}:cancel"): RoutePolicy("write"),
    ("POST", "/v1/jobs/{job_id}:retry"): RoutePolicy("write"),
}


def policy_of(method: str, template: str) -> RoutePolicy | None:
    """The row of a route, None without one; HEAD is GET unless it has a row of its own."""
    own = ROUTE_TABLE.get((method, template))
    return ROUTE_TABLE.get(("GET", template)) if own is None and method == "HEAD" else own
