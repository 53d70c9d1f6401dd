"""Idempotency-Key: a request sent twice is done once, and answered twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.app.catalog.samples import HandClock
from tests.app.stack import HERE, VIDEOS, assert_problem

KEY = {"idempotency-key": "monday's upload"}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def api(tmp_path: Path, clock: HandClock) -> Iterator[TestClient]:
    app = create_app(Settings(data_dir=tmp_path, worker_url="http://127.0.0.1:9"), clock=clock)
    with TestClient(app, HERE, raise_server_exceptions=False) as client:
        yield client


def upload(
    api: TestClient,
    content: bytes = b"abc",
    name: str = "a.mp4",
    metadata: str = "{}",
    headers: dict[str, str] = KEY,
    url: str = VIDEOS,
) -> httpx.Response:
    files = {"file": (name, content)}
    return api.post(url, files=files, data={"metadata": metadata}, headers=headers)


def test_the_same_request_again_gets_the_same_answer(api: TestClient):
    """Same status, video and job, the job as it is now; and nothing is done again."""
    first = upload(api)
    assert first.status_code == 202
    assert "idempotent-replay" not in first.headers
    job_id = first.json()["job"]["id"]
    api.post(f"/v1/jobs/{job_id}:cancel")
    again = upload(api)
    assert (again.status_code, again.headers["idempotent-replay"]) == (202, "true")
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["video"]["id"] == first.json()["video"]["id"]
    assert (again.json()["job"]["id"], again.json()["job"]["status"]) == (job_id, "canceled")
    assert len(api.get("/v1/jobs").json()["items"]) == 1
    unkeyed = upload(api, headers={})  # which would try the failed video again
    assert unkeyed.json()["job"]["id"] != job_id


def test_an_answer_200_is_repeated_as_200(api: TestClient):
    """What was there already is still there."""
    upload(api, headers={})
    assert [upload(api).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "other",
    [
        {"content": b"abcd"},
        {"name": "b.mp4"},
        {"metadata": '{"a": 1}'},
        {"url": "/v1/collections/other/videos"},
    ],
)
def test_another_request_under_the_key_is_refused(api: TestClient, other: dict[str, object]):
    """Whatever differs; nothing of it is kept."""
    api.put("/v1/collections/other")
    upload(api)
    assert_problem(upload(api, **other), 422, "idempotency_key_reused")  # type: ignore[arg-type]
    assert len(api.get("/v1/jobs").json()["items"]) == 1


def test_a_deleted_video_frees_its_key(api: TestClient):
    """The request is done anew."""
    first = upload(api).json()["video"]["id"]
    api.delete(f"{VIDEOS}/{first}")
    again = upload(api)
    assert again.status_code == 202
    assert again.json()["video"]["id"] != first


def test_a_key_is_kept_whatever_the_clock_says(api: TestClient, clock: HandClock):
    """A clock that is set forward by more than a day is no day that has passed."""
    first = upload(api)
    clock.jump(25)
    again = upload(api)
    assert again.headers["idempotent-replay"] == "true"
    assert again.json()["video"]["id"] == first.json()["video"]["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x01", "é"])
def test_a_key_is_short_and_printable(api: TestClient, key: str):
    """1 to 255 characters of ASCII."""
    headers = {"idempotency-key": key.encode("latin-1")}
    refused = api.post(VIDEOS, files={"file": ("a.mp4", b"abc")}, headers=headers)  # type: ignore[arg-type]
    assert_problem(refused, 422, "invalid_request")
