"""JSON bodies: one way to read them, wherever they come in."""

from __future__ import annotations

import json

import pytest
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts

from app.main import create_app
from app.routes.json_bodies import JsonRoute, parse_json, parse_json_field
from app.settings import Settings


def test_every_route_with_a_json_body_reads_it_strictly() -> None:
    """A route that was forgotten would take UTF-16 and keys twice."""
    app = create_app(Settings())
    strict = {
        (context.path_format, method)
        for context in iter_route_contexts(list(app.routes))
        if isinstance(context.original_route, JsonRoute)
        for method in context.methods or ()
    }
    with_json = {
        (path, method.upper())
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    assert len(with_json) >= 8
    assert with_json <= strict


def test_json_is_read_as_it_is() -> None:
    """Every kind of value, and letters of every script."""
    value = {"a": [1, 2.5, None, True, "é\U0001f600"], "b": {"a": {}}}
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"a": 1, "a": 1}', "twice"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        ('{"a": 1}'.encode("utf-16-be"), "UTF-8"),
        (b"[" * 100_000, "too deep or too long"),
        (b"9" * 5_000, "too deep or too long"),
    ],
)
def test_a_field_of_a_form_is_refused_in_the_same_words(raw: bytes, why: str) -> None:
    """With its place, and the reason."""
    with pytest.raises(RequestValidationError) as refused:
        parse_json_field(raw, "body", "metadata")
    (error,) = refused.value.errors()
    assert error["loc"] == ("body", "metadata")
    assert why in error["ctx"]["error"]
