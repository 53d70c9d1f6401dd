"""Every error, from whichever part it comes, is one kind of answer."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from app import errors
from app.catalog import errors as catalog
from app.model_api.endpoint import WorkerFailed, WorkerUnavailable
from app.routes.error_responses import add_error_responses
from app.routes.json_bodies import JsonRoute
from app.server.body_limit import BodyLimit
from app.storage.media_store import ContentTooLarge, StorageFull
from app.storage.partial_uploads import PartialLocked, PartialMissing
from app.telemetry.metrics import Metrics
from app.telemetry.requests import Telemetry
from tests.app.stack import assert_problem
from xclip.errors import VideoError
from xclip_search.schemas import SearchRequest


def make_client(error: Exception | None = None) -> TestClient:
    app = FastAPI(redirect_slashes=False)
    app.add_middleware(BodyLimit)
    app.add_middleware(Telemetry, metrics=Metrics())
    add_error_responses(app)

    @app.get("/fail")
    def fail() -> None:
        assert error is not None
        raise error

    app.router.route_class = JsonRoute

    @app.post("/search")
    def search(body: SearchRequest) -> SearchRequest:
        return body

    return TestClient(app, raise_server_exceptions=False)


def post_json(content: bytes) -> Any:
    """The answer to a search whose body says that it is JSON."""
    headers = {"content-type": "application/json"}
    return make_client().post("/search", content=content, headers=headers)


FORESEEN = [
    *[(leaf("why"), leaf.status, leaf.code) for leaf in errors.AppError.__subclasses__()],
    *[(leaf("why"), 404, leaf.code) for leaf in catalog.NotFound.__subclasses__()],
    (catalog.InvalidFilter("why"), 422, "invalid_filter"),
    (catalog.InvalidMetadata("why"), 422, "invalid_metadata"),
    (catalog.InvalidCursor("why"), 422, "invalid_cursor"),
    (catalog.JobStateConflict("why"), 409, "job_state_conflict"),
    (catalog.VectorsOfAnotherModel("why"), 409, "model_mismatch"),
    (ContentTooLarge("why"), 413, "payload_too_large"),
    (StorageFull("why"), 507, "storage_full"),
    (PartialMissing("why"), 404, "upload_not_found"),
    (PartialLocked("why"), 423, "upload_locked"),
    (WorkerUnavailable("why"), 503, "worker_unavailable"),
    (WorkerFailed("model_mismatch", "why", 409), 409, "model_mismatch"),
    (WorkerFailed("tensors_unreadable", "why", 500), 502, "tensors_unreadable"),
    (WorkerFailed("too_large", "why", 422), 413, "too_large"),
    *[
        (WorkerFailed(leaf.code, "why", 422), 422, leaf.code)
        for leaf in VideoError.__subclasses__()
        if leaf.code != "too_large"
    ],
]


@pytest.mark.parametrize(("error", "status", "code"), FORESEEN, ids=lambda value: str(value)[:40])
def test_a_foreseen_error_keeps_its_code_and_message(error: Exception, status: int, code: str):
    """Each kind of error has one status, its own code and its own sentence."""
    body = assert_problem(make_client(error).get("/fail"), status, code)
    assert body["detail"] == "why"


def test_every_error_of_ours_has_a_stable_code_of_its_own():
    """No two of the service's errors share a code, and none is without."""
    codes = [leaf.code for leaf in errors.AppError.__subclasses__()]
    assert len(set(codes)) == len(codes)
    assert errors.AppError.code not in codes


@pytest.mark.parametrize(
    "error",
    [catalog.LeaseLost("secret"), OSError(errno.EIO, "secret"), ValueError("secret")],
)
def test_what_nobody_foresaw_says_nothing_of_itself(error: Exception):
    """Errors that no caller can cause are bugs: a 500 without their message."""
    body = assert_problem(make_client(error).get("/fail"), 500, "internal_error")
    assert "secret" not in str(body)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_to_be_full(number: int):
    """507, so that the caller knows whose problem it is."""
    answer = make_client(OSError(number, "full", "/a/path")).get("/fail")
    body = assert_problem(answer, 507, "storage_full")
    assert "/a/path" not in str(body)


@pytest.mark.parametrize(
    "error", [WorkerUnavailable("away"), OperationalError("SELECT secret", {}, Exception("locked"))]
)
def test_what_may_pass_says_when_to_come_back(error: Exception):
    """A dependency that is away is 503 with Retry-After, and no statement leaks."""
    answer = make_client(error).get("/fail")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/octet"]
)
def test_json_that_does_not_come_as_json_is_named(media_type: str | None):
    """curl's own choice, another or none: 415, and the header that is wanted."""
    headers = {} if media_type is None else {"content-type": media_type}
    answer = make_client().post("/search", content=b'{"text": "ok"}', headers=headers)
    body = assert_problem(answer, 415, "unsupported_media_type")
    assert "Content-Type: application/json" in body["detail"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is missing"),
        (b"[]", "must be an object"),
        (b"{", "must be JSON. Expecting"),
        (b'{"text": [1]}', "must be text"),
    ],
)
def test_a_body_that_is_none_is_refused_in_words(content: bytes, why: str):
    """Also where only the body as a whole can be named."""
    headers = {"content-type": "application/merge-patch+json"}
    answer = make_client().post("/search", content=content, headers=headers)
    (error,) = assert_problem(answer, 422, "invalid_request")["errors"]
    assert error["loc"][0] == "body"
    assert why in error["msg"]


def test_an_invalid_body_is_explained_without_an_echo():
    """The place and the reason are named; what was sent is not repeated."""
    answer = make_client().post("/search", json={"text": "ok", "top_k": "hidden words"})
    body = assert_problem(answer, 422, "invalid_request")
    assert body["errors"][0]["loc"] == ["body", "top_k"]
    assert set(body["errors"][0]) == {"loc", "msg"}
    assert "hidden words" not in answer.text


@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "\\ud800"}',
        b'{"text": "ok", "\\ud800": 1}',
        b'{"text": "ok", "filter": {"k": "\\udfff"}}',
        b'{"text": "ok", "filter": {"\\udfff": 1}}',
    ],
)
def test_lone_surrogates_are_refused_without_a_crash(content: bytes):
    """Text that no encoder takes is a 422, wherever it stands, and the answer is readable."""
    answer = post_json(content)
    assert_problem(answer, 422, "invalid_request")
    answer.json()["errors"][0]["msg"].encode()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"text": "ok", "filter": {"k": NaN}}', 422),
        (b'{"text": "ok", "filter": {"k": 1e999}}', 422),
        (b'{"text": "ok", "filter": {"k": ' + b"9" * 5000 + b"}}", 400),
        (b'{"text": "ok", "extra": 1}', 422),
        (b"[" * 100_000, 400),
        (b"{", 422),
        (b'"text"', 422),
        (b"\xff\xfe", 422),
        (b"", 422),
    ],
)
def test_malformed_bodies_are_refused(content: bytes, status: int):
    """NaN, infinity, endless numbers and depths, unknown fields and non-JSON never get through."""
    answer = post_json(content)
    assert_problem(answer, status, "invalid_request")


def test_the_number_of_explanations_is_bounded():
    """A body wrong in a thousand places gets a short answer."""
    answer = make_client().post("/search", json={"text": "x"} | {f"f{i}": 1 for i in range(1000)})
    assert len(assert_problem(answer, 422, "invalid_request")["errors"]) == 20


@pytest.mark.parametrize("name", ["n" * 2000, "\U0001f600" * 2000, "\x01" * 2000])
def test_the_echo_of_made_up_names_is_bounded(name: str):
    """Long names, many of them, in letters that JSON writes with twelve: the answer stays short."""
    answer = make_client().post("/search", json={f"{i}{name}": 1 for i in range(40)})
    body = assert_problem(answer, 422, "invalid_request")
    assert body["errors"][0]["loc"][1].startswith("0")
    assert len(answer.content) < 4_096


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"text": "ok"}'.encode("utf-8-sig"), "BOM"),
        ('{"text": "ok"}'.encode("utf-16"), "UTF-8"),
        ('{"text": "ok"}'.encode("utf-16-le"), "UTF-8"),
        ('{"text": "ok"}'.encode("utf-32-be"), "UTF-8"),
        (b'{"text": "\xe9"}', "UTF-8"),
        (b'{"text": "one", "text": "two"}', "'text' is there twice"),
        (b'{"text": "ok", "filter": {"or": [{"k": 1, "k": 1}]}}', "'k' is there twice"),
        (b'{"text": "ok", "t\\u0065xt": "two"}', "'text' is there twice"),
        (b"{", "property name"),
    ],
)
def test_json_that_others_read_differently_is_refused_with_a_sentence(content: bytes, why: str):
    """Another encoding than UTF-8, a byte order mark, a key twice at any depth, or no JSON."""
    answer = post_json(content)
    (error,) = assert_problem(answer, 422, "invalid_request")["errors"]
    assert why in error["msg"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/none", 404, "not_found"), ("PUT", "/search", 405, "method_not_allowed")],
)
def test_the_frameworks_own_refusals_are_problems(method: str, path: str, status: int, code: str):
    """Unknown paths and methods look like every other refusal."""
    assert_problem(make_client().request(method, path), status, code)


def test_a_trailing_slash_redirects_nowhere():
    """No Location is ever built from the caller's Host header."""
    answer = make_client().post("/search/", headers={"host": "evil.example"}, json={"text": "x"})
    assert_problem(answer, 404, "not_found")
    assert "location" not in answer.headers
