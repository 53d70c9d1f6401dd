"""Authorization: finds the row of the route table for a request, and checks scopes.

A scope holds the ones before it: read ⊂ write ⊂ admin. What is public says nothing about this
installation: that it lives, whether it is ready, and files that are the same in every installation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Mount, compile_path

from app.catalog.api_keys import Scope
from app.route_table import ROUTE_TABLE, Need, RoutePolicy, policy_of

_VIDEO = "/v1/collections/{collection}/videos/{video_id}"
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
    """A route as the policy sees it.

    policy : None where the route table has no row for it
    method : what the route serves the request as: GET for a HEAD without a handler of its own
    """

    template: str
    policy: RoutePolicy | None
    method: str

    @property
    def need(self) -> Need | None:
        """The scope that the route needs."""
        return self.policy.need if self.policy else None


class Policy:
    """The rows of the route table, found for a request as the router finds its route."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = [_Route(context) for context in iter_route_contexts(list(routes))]

    def entrance(self, method: str, path: str) -> Entrance | None:
        """Where a request would go; None if the application has no such route."""
        for served in (method, "GET") if method == "HEAD" else (method,):
            for route in self._routes:
                if served in route.methods and route.regex.match(path):
                    return Entrance(route.template, policy_of(method, route.template), served)
        return None

    def allowed(self, path: str) -> list[str]:
        """The methods that can be used at `path`; HEAD is one wherever GET is."""
        found = {
            method for route in self._routes if route.regex.match(path) for method in route.methods
        }
        return sorted(found | {"HEAD"} if "GET" in found else found)

    def entrances(self) -> dict[tuple[str, str], RoutePolicy | None]:
        """Every method and template that the application serves, with its row."""
        return {
            (method, route.template): policy_of(method, route.template)
            for route in self._routes
            for method in route.methods
        }


class AccessTableError(Exception):
    """Route table and application have different routes; the message names them."""


def check_access_table(routes: Iterable[BaseRoute]) -> None:
    """Raise AccessTableError unless every route has a row and every row has a route."""
    rows = Policy(routes).entrances()
    without_row = sorted(route for route, row in rows.items() if row is None)
    without_route = sorted(set(ROUTE_TABLE) - set(rows))
    if without_row or without_route:
        raise AccessTableError(
            f"Routes without a row in the route table: {without_row}; "
            f"rows without a route: {without_route}."
        )


class _Route:
    def __init__(self, context: RouteContext) -> None:
        path = context.path or ""
        # a mounted application holds files, and is entered by everything below its path
        mounted = isinstance(context.original_route, Mount)
        self.methods = frozenset({"GET"} if mounted else context.methods or ())
        self.regex: re.Pattern[str] = compile_path(f"{path}/{{path:path}}" if mounted else path)[0]
        self.template = path if mounted else context.path_format or path


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
            row = policy_of(method.upper(), template)
            need = row.need if row else "public"
            operation["security"] = [] if need == "public" else [{"key": [need]}]
            if operation["security"]:
                operation["responses"] |= _REFUSALS | operation["responses"]


_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REFUSALS = {
    "401": {"description": "No key, or none that is valid", "content": _PROBLEM},
    "403": {"description": "The key's scope does not reach so far", "content": _PROBLEM},
    "429": {"description": "More requests than the key may send", "content": _PROBLEM},
}
