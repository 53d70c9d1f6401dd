"""Who may do what: every operation against every kind of caller, from the table and past it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from app.main import create_app
from app.route_table import ROUTE_TABLE, policy_of
from app.security.access_table import AccessTableError, check_access_table, covers
from app.settings import Settings
from tests.app.stack import assert_problem
from tests.security.doors import SCOPES, Doors, open_doors

DOORS = {"key_missing", "key_invalid", "scope_missing", "no_policy", "keys_required"}
FILES = {"/", "/docs", "/static", "/swagger", "/openapi.json"}
MOUNTED = {"/static": "/static/app.js", "/swagger": "/swagger/swagger-ui.css"}
APP = create_app(Settings())


def served(app: FastAPI) -> set[tuple[str, str]]:
    """Every method and path template that the application's router knows."""
    found = set()
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, Mount):
            found.add(("GET", context.path))
        else:
            found |= {(method, context.path_format) for method in context.methods or ()}
    return found


def documented() -> set[tuple[str, str]]:
    """Every method and path template that the OpenAPI document names."""
    paths = APP.openapi()["paths"]
    return {(method.upper(), path) for path, operations in paths.items() for method in operations}


def test_the_table_the_router_and_the_document_know_the_same_routes():
    """A route without a row fails here, as does a row without a route."""
    routes = served(APP)
    assert {route for route in routes if policy_of(*route) is None} == set()
    assert set(ROUTE_TABLE) <= routes
    undocumented = {path for _, path in routes - documented() if path not in FILES}
    assert documented() <= routes
    assert undocumented <= {path for method, path in routes if method == "HEAD"}


def test_an_application_whose_routes_differ_from_the_table_does_not_start():
    """A route without a row is reported by name, and so is a row without a route."""
    app = create_app(Settings())
    app.add_api_route("/v1/unlisted", lambda: None, methods=["GET"])
    with pytest.raises(AccessTableError, match="/v1/unlisted"):
        check_access_table(app.routes)
    with pytest.raises(AccessTableError, match=r"rows without a route: \[.*'/swagger'"):
        check_access_table(APP.routes[:-1])


def test_what_is_public_is_named_here_once_more():
    """A row turned public by mistake has to be turned so twice."""
    public = {path for (_, path), row in ROUTE_TABLE.items() if row.need == "public"}
    assert public == FILES | {"/livez", "/readyz"}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with open_doors(tmp_path_factory.mktemp("access")) as opened:
        yield opened


@pytest.mark.parametrize(("method", "path"), sorted(ROUTE_TABLE))
def test_every_operation_lets_in_whom_the_table_names(doors: Doors, method: str, path: str):
    """401 without a key, 403 with one of a lesser scope, and any other answer for the rest."""
    need = ROUTE_TABLE[(method, path)].need
    url = MOUNTED.get(path) or re.sub(r"\{\w+\}", "nothing", path)
    stranger = doors.api.request(method, url)
    wrong = doors.api.request(method, url, headers={"authorization": "Bearer xclip_a_b"})
    if need == "public":
        assert {stranger.status_code, wrong.status_code}.isdisjoint({401, 403, 429})
        return
    if method != "HEAD":
        assert_problem(stranger, 401, "key_missing")
        assert wrong.json()["code"] in ("key_invalid", "too_many_wrong_keys")
    assert stranger.headers["www-authenticate"] == "Bearer"
    for scope in SCOPES:
        answer = doors.api.request(method, url, headers=doors.keys[scope])
        if covers(scope, need):
            assert answer.status_code != 401
            refused = answer.status_code == 403 and answer.json()["code"] in DOORS
            assert not refused
        else:
            assert_problem(answer, 403, "scope_missing")


def test_no_other_method_or_path_is_a_way_in(doors: Doors):
    """Unknown paths and methods are 401 to strangers, who so learn nothing, and 404 or 405 else."""
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("GET", "/V1/collections", 404),
        ("GET", "/v1/collections/", 404),
        ("POST", "/v1/collections", 405),
        ("TRACE", "/v1/collections", 405),
        ("GET", "//v1/collections", 404),
        ("GET", "/livez/", 404),
        ("GET", "/static/../v1/collections", 404),
    ):
        assert doors.api.request(method, path).status_code in (401, 404), (method, path)
        answer = doors.api.request(method, path, headers=doors.keys["admin"])
        assert answer.status_code in (status, 200), (method, path, answer.status_code)


def test_a_route_that_the_table_forgot_serves_nobody(tmp_path):
    """Closed by default: with an admin's key, and without any keys at all."""
    for keyed in (True, False):
        with open_doors(tmp_path / str(keyed), keyed=keyed) as doors:
            doors.api.app.add_api_route("/v1/forgotten", lambda: {"secret": 1}, methods=["GET"])
            key = doors.keys.get("admin")
            assert_problem(doors.api.get("/v1/forgotten", headers=key), 403, "no_policy")


def test_strangers_learn_whether_it_is_ready_and_not_why(doors: Doors):
    """The worker is away: its address is for those with a key."""
    stranger, known = (doors.api.get("/readyz", headers=h) for h in ({}, doors.keys["read"]))
    assert (stranger.status_code, stranger.json()) == (503, {"ready": False, "checks": {}})
    assert known.json()["checks"]["worker"]["ok"] is False


def test_the_document_says_which_scope_an_operation_needs():
    """A client generator sees the key and where it is wanted."""
    schema = APP.openapi()
    scheme = schema["components"]["securitySchemes"]["key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for method, path in documented():
        operation = schema["paths"][path][method.lower()]
        row = policy_of(method, path)
        assert row is not None
        need = row.need
        assert operation["security"] == ([] if need == "public" else [{"key": [need]}])
        assert ("401" in operation["responses"]) == (need != "public")
