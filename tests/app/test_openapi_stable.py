"""Compatibility: the OpenAPI document differs from that of version 0.1 in prose only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.main import create_app
from app.settings import Settings

RELEASED = Path(__file__).parents[1] / "data" / "openapi-0.1.json"
PROSE = {"description", "summary", "title"}
NAMED = {"properties", "schemas"}  # their keys are names, which may read like prose's


def without_prose(node: Any, keys_are_names: bool = False) -> Any:
    """The document without what only people read."""
    if isinstance(node, dict):
        return {
            key: without_prose(value, key in NAMED)
            for key, value in node.items()
            if keys_are_names or key not in PROSE
        }
    return [without_prose(item) for item in node] if isinstance(node, list) else node


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Each place where two documents differ, as `path: before -> after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from differences(before.get(key), after.get(key), f"{path}/{key}")
    elif before != after:
        yield f"{path}: {json.dumps(before)} -> {json.dumps(after)}"


def test_the_document_is_that_of_version_0_1() -> None:
    """No route, parameter, field or status has come, gone or changed since version 0.1."""
    today = without_prose(json.loads(json.dumps(create_app(Settings()).openapi())))
    assert list(differences(json.loads(RELEASED.read_text()), today)) == []
