"""Authorization: which scope each route needs, one row for every route.

A scope holds the ones before it: read ⊂ write ⊂ admin. What is public says nothing about this
installation: that it lives, whether it is ready, and files that are the same in every installation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Mount, compile_path

from app.catalog.api_keys import Scope

Need: TypeAlias = Scope | Literal["public"]

_V1 = "/v1/collections/{collection}"
_VIDEO = f"{_V1}/videos/{{video_id}}"

ACCESS: Mapping[tuple[str, str], Need] = {
    ("GET", "/livez"): "public",
    ("GET", "/readyz"): "public",  # strangers read only whether, not why
    ("GET", "/"): "public",
    ("GET", "/static"): "public",
    ("GET", "/docs"): "public",
    ("GET", "/swagger"): "public",
    ("GET", "/openapi.json"): "public",
    ("GET", "/metrics"): "read",  # a scraper's key should not be one that deletes
    ("POST", "/v1/session"): "read",
    ("DELETE", "/v1/session"): "read",
    ("GET", "/v1/models"): "read",
    ("POST", "/v1/embeddings"): "read",
    ("GET", "/v1/removals"): "read",
    ("GET", "/v1/collections"): "read",
    ("GET", _V1): "read",
    ("PUT", _V1): "write",
    ("PATCH", _V1): "write",
    ("DELETE", _V1): "admin",  # takes away what others have put there, all of it at once
    ("POST", f"{_V1}/search"): "read",
    ("POST", f"{_V1}/search:batch"): "read",
    ("POST", f"{_V1}/search:clip"): "read",  # what is sent along is not kept
    ("POST", f"{_V1}/classify"): "read",
    ("POST", "/v1/classify"): "read",
    ("GET", f"{_V1}/videos"): "read",
    ("POST", f"{_V1}/videos"): "write",
    ("GET", _VIDEO): "read",
    ("PATCH", _VIDEO): "write",
    ("DELETE", _VIDEO): "write",
    ("GET", f"{_VIDEO}/content"): "read",
    ("GET", f"{_VIDEO}/thumbnail"): "read",
    ("GET", f"{_VIDEO}/sprite"): "read",
    ("GET", f"{_VIDEO}/sprite.vtt"): "read",
    ("GET", f"{_VIDEO}/clip"): "read",
    ("GET", f"{_VIDEO}/segments"): "read",
    ("GET", f"{_VIDEO}/heatmap"): "read",
    ("GET", f"{_VIDEO}/embeddings"): "read",
    ("OPTIONS", "/v1/uploads"): "read",
    ("POST", f"{_V1}/uploads"): "write",
    ("GET", "/v1/uploads/{upload_id}"): "read",  # an upload is its own key's only
    ("PATCH", "/v1/uploads/{upload_id}"): "write",
    ("DELETE", "/v1/uploads/{upload_id}"): "write",
    ("GET", "/v1/label-sets"): "read",
    ("GET", "/v1/label-sets/{name}"): "read",
    ("PUT", "/v1/label-sets/{name}"): "write",
    ("DELETE", "/v1/label-sets/{name}"): "write",
    ("GET", "/v1/jobs"): "read",
    ("GET", "/v1/jobs/{job_id}"): "read",
    ("GET", "/v1/jobs/{job_id}/events"): "read",
    ("POST", "/v1/jobs/{job_id}:cancel"): "write",
    ("POST", "/v1/jobs/{job_id}:retry"): "write",
}
# What <img> and <video> load, which cannot send a key: a session's cookie is enough for these.
MEDIA = frozenset(
    f"{_VIDEO}/{name}" for name in ("content", "thumbnail", "sprite", "sprite.vtt", "clip")
)

_ORDER: Sequence[Scope] = ("read", "write", "admin")


def covers(held: Scope, needed: Scope) -> bool:
    """Whether a key of scope `held` may do what needs `needed`."""
    return _ORDER.index(held) >= _ORDER.index(needed)


@dataclass(frozen=True, slots=True)
class Entrance:
    """A route as the policy sees it; `need` is None where no row of ACCESS speaks of it."""

    template: str
    need: Need | None


class Policy:
    """The rows of ACCESS for the routes of an application, found as the router finds routes."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = [_Route(context) for context in iter_route_contexts(list(routes))]

    def entrance(self, method: str, path: str) -> Entrance | None:
        """Where a request would go; None if the application has no such route."""
        for route in self._routes:
            if route.serves(method) and route.regex.match(path):
                return Entrance(route.template, need_of(method, route.template))
        return None

    def allowed(self, path: str) -> list[str]:
        """The methods that the application has routes for at `path`."""
        found = {
            method
            for route in self._routes
            if route.methods is not None and route.regex.match(path)
            for method in route.methods
        }
        return sorted(found)

    def entrances(self) -> dict[tuple[str, str], Need | None]:
        """Every method and template that the application serves, with its need."""
        return {
            (method, route.template): need_of(method, route.template)
            for route in self._routes
            for method in route.methods or ("GET",)
        }


class AccessTableError(Exception):
    """ACCESS and the routes of the application do not match; the message names the difference."""


def check_access_table(routes: Iterable[BaseRoute]) -> None:
    """Raise AccessTableError unless every route has a row in ACCESS and every row a route."""
    needs = Policy(routes).entrances()
    without_row = sorted(route for route, need in needs.items() if need is None)
    without_route = sorted(set(ACCESS) - set(needs))
    if without_row or without_route:
        raise AccessTableError(
            f"Routes without a row in ACCESS: {without_row}; rows without a route: {without_route}."
        )


class _Route:
    def __init__(self, context: RouteContext) -> None:
        path = context.path or ""
        # a mounted application is entered by everything below its path, whatever the method
        mounted = isinstance(context.original_route, Mount)
        self.methods = None if mounted else frozenset(context.methods or ())
        self.regex: re.Pattern[str] = compile_path(f"{path}/{{path:path}}" if mounted else path)[0]
        self.template = path if mounted else context.path_format or path

    def serves(self, method: str) -> bool:
        return self.methods is None or method in self.methods


def need_of(method: str, template: str) -> Need | None:
    """What a route needs, None without a row; HEAD is GET unless it has a row of its own."""
    own = ACCESS.get((method, template))
    return ACCESS.get(("GET", template)) if own is None and method == "HEAD" else own


def document_access(schema: dict[str, Any]) -> None:
    """Say in an OpenAPI document which operations need a key, and of which scope."""
    schema.setdefault("components", {})["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key made with `xclip-search keys create`. None is needed as long as "
            "there is none: the service then listens on its own machine only.",
        }
    }
    for template, operations in schema["paths"].items():
        for method, operation in operations.items():
            need = need_of(method.upper(), template)
            operation["security"] = [] if need in (None, "public") else [{"key": [need]}]
            if operation["security"]:
                operation["responses"] |= _REFUSALS | operation["responses"]


_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REFUSALS = {
    "401": {"description": "No key, or none that is valid", "content": _PROBLEM},
    "403": {"description": "The key's scope does not reach so far", "content": _PROBLEM},
    "429": {"description": "More requests than the key may send", "content": _PROBLEM},
}
