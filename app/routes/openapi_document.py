"""OpenAPI document: adds what neither the framework nor the wire models can say."""

from __future__ import annotations

from typing import Any


def document_json_values(schema: dict[str, Any]) -> None:
    """Describe what stands for any JSON value, which pydantic leaves empty."""
    schema["components"]["schemas"]["JsonValue"]["description"] = "Any JSON value"
