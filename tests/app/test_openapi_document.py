"""OpenAPI: programs and people can be made, and can read, from the document alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from app.main import create_app
from app.settings import Settings

DOCUMENT = create_app(Settings()).openapi()


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation, as `METHOD path`."""
    for path, by_method in DOCUMENT["paths"].items():
        for method, operation in by_method.items():
            yield f"{method.upper()} {path}", operation


def fields(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of every schema below a node of the document, by its path."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from fields(item, f"{path}/{number}")
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "allOf":  # rules between fields, which are described elsewhere
                continue
            if key == "properties":
                for name, field in value.items():
                    yield f"{path}/{name}", field
            yield from fields(value, f"{path}/{key}")


def test_every_field_is_described() -> None:
    """Each property of a request or an answer says what it is."""
    assert [path for path, field in fields(DOCUMENT) if not field.get("description")] == []


def test_every_schema_is_described() -> None:
    """Each object of the document says what it is."""
    schemas = DOCUMENT["components"]["schemas"]
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []


def test_every_parameter_is_described() -> None:
    """Each parameter in a path, a query or a header says what it is."""
    bare = [
        f"{name} {parameter['name']}"
        for name, operation in operations()
        for parameter in operation.get("parameters", ())
        if not parameter.get("description")
    ]
    assert bare == []


def test_every_operation_is_named_as_a_method_of_a_client() -> None:
    """Operation ids are unique and read as what a client does: a verb and what it is done to."""
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)] == []
    assert {"search_segments", "upload_video", "get_content", "append_chunk"} <= set(ids)


def test_every_body_has_a_schema() -> None:
    """No body of a request or an answer is documented as just anything."""
    bare = []
    for name, operation in operations():
        answers = operation["responses"].items()
        bodies = [("request", operation.get("requestBody", {})), *answers]
        for place, body in bodies:
            for media_type, content in body.get("content", {}).items():
                if not content.get("schema"):
                    bare.append(f"{name} {place} {media_type}")
    assert bare == []


def test_a_file_is_binary() -> None:
    """A video and a picture are documented as bytes, in every type that they may have."""
    for path in ("content", "thumbnail", "sprite", "clip"):
        route = f"/v1/collections/{{collection}}/videos/{{video_id}}/{path}"
        for status in ("200", "206"):
            content = DOCUMENT["paths"][route]["get"]["responses"][status]["content"]
            for body in content.values():
                assert body == {"schema": {"type": "string", "format": "binary"}}
