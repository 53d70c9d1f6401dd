"""Authorization: a request's row of the route table is that of the route which will serve it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router
from starlette.types import Message, Scope

from app.main import create_app
from app.route_table import ROUTE_TABLE
from app.security.access_table import AccessTableError, Entrance, Policy, check_access_table
from app.settings import Settings

APP = create_app(Settings())
POLICY = Policy(APP.routes)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "")
TEMPLATES = sorted({template for _, template in ROUTE_TABLE})
PARTS = st.sampled_from(
    [
        "default",
        "vid_1",
        "search",
        "search:clip",
        "videos",
        "..",
        ".",
        "%2F",
        "a:cancel",
        "é",
        "{video_id}",
        "static",
        "sprite.vtt",
        "",
        " ",
        "\n",
    ]
)


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Paths near the application's own: a template with parts filled in, cut, or added."""
    parts = [
        draw(PARTS) if part.startswith("{") or draw(st.integers(0, 9)) == 0 else part
        for part in draw(st.sampled_from(TEMPLATES)).split("/")[1:]
    ]
    parts += draw(st.lists(PARTS, max_size=2))
    return "/" + "/".join(parts)


# Routes are found again by identity: they cannot be hashed.
TEMPLATE_OF = {
    id(context.original_route): context.path_format or context.path
    for context in iter_route_contexts(APP.routes)
}
# Starlette's own routes are named by what they serve.
PLAIN = [
    (route.app if isinstance(route, Mount) else route.endpoint, route.path)
    for route in APP.routes
    if isinstance(route, Mount | Route)
]


def served_by(method: str, path: str) -> str | None:
    """The template of the route that the router itself hands the request to.

    Nothing is served: what would need a part of the service fails for want of it.
    """
    scope: Scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    scope |= {"query_string": b"", "state": {}}
    answered: list[int] = []

    async def receive() -> Message:
        raise EOFError

    async def send(message: Message) -> None:
        answered.append(message.get("status", 0))

    async def dispatch() -> None:
        with suppress(Exception):
            await APP.router(scope, receive, send)

    asyncio.run(dispatch())
    if answered[:1] == [405]:  # the router's own answer; a route's would come after its failure
        return None
    if "route" in scope:
        return TEMPLATE_OF[id(scope["route"])]
    return next((path for served, path in PLAIN if served == scope.get("endpoint")), None)


@settings(max_examples=200)
@given(st.sampled_from(METHODS), paths())
@example("POST", "/v1/jobs/a:cancel")
@example("GET", "/openapi.json")
@example("GET", "/static")
@example("GET", "/static/")
@example("GET", "/static/../v1/jobs")
@example("POST", "/v1/collections/a/search:clip")
@example("GET", "//v1/jobs")
@example("GET", "/v1/jobs\n")
def test_the_row_is_that_of_the_route_that_serves(method: str, path: str) -> None:
    """The router is the oracle: were the two to differ, a request would be judged as another."""
    entrance = POLICY.entrance(method, path)
    served = served_by(method, path) or (served_by("GET", path) if method == "HEAD" else None)
    if path.startswith(("/static", "/swagger")) and method not in ("GET", "HEAD"):
        served = None  # the mounted application has the request, and refuses it
    assert (entrance.template if entrance else None) == served


@settings(max_examples=25)
@given(paths())
def test_the_allowed_methods_are_those_that_lead_somewhere(path: str) -> None:
    """What a 405 lists is what the router would have served, and nothing besides."""
    mounted = path.startswith(("/static", "/swagger"))
    found = [method for method in METHODS if served_by(method, path) and not mounted]
    head = {"HEAD"} if "GET" in found else set()
    assert mounted or POLICY.allowed(path) == sorted({*found, *head})


async def answer(_: object) -> PlainTextResponse:
    return PlainTextResponse("")


def test_the_first_of_two_routes_that_match_decides() -> None:
    """As for the router; the second one's row does not count, even for a method of its own."""
    routes = [
        Route("/v1/collections/{collection}", answer, methods=["GET"]),
        Route("/v1/collections/default", answer, methods=["GET", "DELETE"]),
    ]
    policy = Policy(routes)
    first = policy.entrance("GET", "/v1/collections/default")
    second = policy.entrance("DELETE", "/v1/collections/default")
    assert first is not None
    assert first.need == "read"
    assert second == Entrance("/v1/collections/default", None, "DELETE")
    assert second.need is None
    assert policy.allowed("/v1/collections/default") == ["DELETE", "GET", "HEAD"]


def test_a_mounted_application_is_one_route_below_its_path_and_not_beside_it() -> None:
    """Whatever the method, since it has no table of its own that could be read here."""
    policy = Policy([Mount("/static", app=Starlette()), Mount("/hidden", app=Router())])
    for path in ("/static/", "/static/a", "/static/a/b"):
        for method in ("GET", "HEAD"):
            entrance = policy.entrance(method, path)
            assert entrance is not None
            assert entrance.need == "public"
        assert policy.entrance("PUT", path) is None
    for path in ("/static", "/staticx", "/statica/b", "/"):
        assert policy.entrance("GET", path) is None
    assert policy.entrance("GET", "/hidden/a") == Entrance("/hidden", None, "GET")


def test_the_two_sides_of_the_table_are_compared_by_name() -> None:
    """A route without a row and a row without a route are each told."""
    app = FastAPI(openapi_url=None)
    app.add_api_route("/livez", answer, methods=["GET"])
    app.add_api_route("/livez", answer, methods=["POST"])
    with pytest.raises(AccessTableError) as raised:
        check_access_table(app.routes)
    without_row, without_route = str(raised.value).split("; rows")
    assert "[('POST', '/livez')]" in without_row
    assert "('GET', '/livez')" not in without_route
    assert "('GET', '/readyz')" in without_route
    check_access_table(APP.routes)
