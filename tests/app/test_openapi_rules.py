"""OpenAPI: what the models refuse, the document refuses, as far as JSON Schema can say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from app.main import create_app
from app.settings import Settings
from xclip_search import schemas

DOCUMENT = create_app(Settings()).openapi()
FORMS = {"ClipRequest": "/v1/classify", "SearchOptions": "/v1/collections/{collection}/search:clip"}
URLS = "/v1/collections/{collection}/videos"
TWO = ["red", "blue"]
BY_NAME: Mapping[str, type[schemas.Accepted]] = {
    "SearchRequest": schemas.SearchRequest,
    "SearchOptions": schemas.SearchOptions,
    "ClassifyRequest": schemas.ClassifyRequest,
    "ClipRequest": schemas.ClipRequest,
    "LabelSetPut": schemas.LabelSetPut,
    "EmbeddingRequest": schemas.EmbeddingRequest,
}


def documented(name: str) -> jsonschema_rs.Validator:
    """What the document says of the body of this model."""
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{name}"}
    if name in FORMS:
        body = DOCUMENT["paths"][FORMS[name]]["post"]["requestBody"]
        schema = {**body["content"]["multipart/form-data"]["schema"]}
        schema["required"] = [field for field in schema["required"] if field != "file"]
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]})


CASES: list[tuple[str, dict[str, Any], bool]] = [
    ("SearchRequest", {"text": "x"}, True),
    ("SearchRequest", {"text": "x", "segment_id": None, "then": None}, True),
    ("SearchRequest", {"then": TWO, "within_s": 1, "merge": False}, True),
    ("SearchRequest", {"segment_id": "seg_1", "min_confidence": None}, True),
    ("SearchRequest", {"text": "x", "group_by": "video", "max_per_video": 2}, True),
    ("SearchRequest", {}, False),
    ("SearchRequest", {"text": None}, False),
    ("SearchRequest", {"text": "x", "then": TWO}, False),
    ("SearchRequest", {"text": "x", "segment_id": "seg_1"}, False),
    ("SearchRequest", {"segment_id": "seg_1", "negative_text": "x"}, False),
    ("SearchRequest", {"text": "x", "within_s": 1}, False),
    ("SearchRequest", {"then": TWO, "merge": True}, False),
    ("SearchRequest", {"segment_id": "seg_1", "min_confidence": 0.5}, False),
    ("SearchRequest", {"text": "x", "max_per_video": 2}, False),
    ("SearchRequest", {"text": ""}, False),
    ("SearchRequest", {"text": " \t\n"}, False),
    ("SearchRequest", {"text": "x" * 1001}, False),
    ("SearchRequest", {"then": ["x", " "]}, False),
    ("SearchOptions", {"group_by": "video", "max_per_video": 2}, True),
    ("SearchOptions", {"text": "x"}, False),
    ("ClassifyRequest", {"labels": TWO}, True),
    ("ClassifyRequest", {"label_set": "a", "labels": None, "filter": {}}, True),
    ("ClassifyRequest", {"labels": TWO, "templates": ["a {} b"]}, True),
    ("ClassifyRequest", {"labels": TWO, "mode": "multi", "none_of_these": False}, True),
    ("ClassifyRequest", {}, False),
    ("ClassifyRequest", {"labels": TWO, "label_set": "a"}, False),
    ("ClassifyRequest", {"labels": TWO, "mode": "multi", "none_of_these": True}, False),
    ("ClassifyRequest", {"labels": TWO, "video_ids": ["vid_1"], "filter": {}}, False),
    ("ClassifyRequest", {"labels": TWO, "video_ids": ["vid_1"], "segment_ids": ["seg_1"]}, False),
    ("ClassifyRequest", {"labels": ["red", " "]}, False),
    ("ClassifyRequest", {"labels": TWO, "templates": ["no place"]}, False),
    ("ClipRequest", {"labels": TWO, "window_s": 5}, True),
    ("ClipRequest", {"labels": TWO, "filter": {}}, False),
    ("LabelSetPut", {"labels": TWO}, True),
    ("LabelSetPut", {"labels": TWO, "templates": [""]}, False),
    ("EmbeddingRequest", {"input": "x", "model": "m"}, True),
    ("EmbeddingRequest", {"input": ["x", ""], "model": "m"}, False),
    ("EmbeddingRequest", {"input": "x", "model": " "}, False),
]


@pytest.mark.parametrize(("name", "body", "taken"), CASES)
def test_the_document_knows_the_rules_of_requests(
    name: str, body: dict[str, Any], taken: bool
) -> None:
    """Document and model take, and refuse, the same body."""
    try:
        BY_NAME[name].model_validate(body)
        assert taken
    except ValidationError:
        assert not taken
    assert documented(name).is_valid(body) is taken


def test_the_document_knows_which_urls_are_fetched() -> None:
    """Only http and https."""
    body = DOCUMENT["paths"][URLS]["post"]["requestBody"]["content"]["application/json"]
    document = jsonschema_rs.validator_for({**body["schema"], "components": DOCUMENT["components"]})
    assert document.is_valid({"url": "https://example.org/a.mp4"})
    assert not document.is_valid({"url": "ftp://example.org/a.mp4"})


def test_the_document_knows_the_headers_of_tus() -> None:
    """Requests must name the version, and answers do."""
    for path, method in (
        ("/v1/collections/{collection}/uploads", "post"),
        ("/v1/uploads/{upload_id}", "head"),
        ("/v1/uploads/{upload_id}", "patch"),
        ("/v1/uploads/{upload_id}", "delete"),
    ):
        operation = DOCUMENT["paths"][path][method]
        (version,) = (
            parameter
            for parameter in operation["parameters"]
            if parameter["name"] == "tus-resumable"
        )
        assert (version["required"], version["schema"]["enum"]) == (True, ["1.0.0"])
        for status, answer in operation["responses"].items():
            if status not in ("401", "403", "429"):  # refused before the protocol is known
                assert "Tus-Resumable" in answer["headers"]
    begun = DOCUMENT["paths"]["/v1/collections/{collection}/uploads"]["post"]["responses"]["201"]
    assert {"Location", "Upload-Offset", "Upload-Expires"} <= set(begun["headers"])
