"""`POST …/videos` with a JSON body: the service fetches the video itself."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import write_clip
from tests.app.fetch.origin import Origin, drip, head, redirect, serving, whole
from tests.app.stack import VIDEOS, Stack, assert_problem, open_stack
from xclip.encoder import Encoder


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with serving() as origin:
        yield origin


@pytest.fixture(scope="module")
def fetching(
    tmp_path_factory: pytest.TempPathFactory, encoder: Encoder, origin: Origin
) -> Iterator[Stack]:
    """A service that may fetch from the origin."""
    folder, allowed = tmp_path_factory.mktemp("fetching"), f"127.0.0.1:{origin.port}"
    with open_stack(folder, encoder, url_ingest=allowed, max_upload_bytes=1 << 20) as opened:
        yield opened


def on_disk(stack: Stack) -> list[Path]:
    """Files that are being received."""
    return list(stack.media.tmp.glob("incoming-*"))


def test_a_fetched_video_is_like_an_uploaded_one(fetching: Stack, origin: Origin, tmp_path: Path):
    """202 and a job that succeeds; named by its URL, or as the request says; once by its bytes."""
    clip = write_clip(tmp_path / "clip.mp4", seconds=1)
    origin.answers["/cup%20final.mp4"] = whole(clip.read_bytes(), "content-type: video/mp4")
    origin.answers["/latest"] = redirect("/cup%20final.mp4")
    body = {"url": origin.url("/latest"), "metadata": {"camera": "north"}}
    answer = fetching.api.post(VIDEOS, json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job']['id']}"
    while fetching.puller.run_one():
        pass
    video = fetching.api.get(f"{VIDEOS}/{answer.json()['video']['id']}").json()
    assert (video["status"], video["filename"], video["content_type"], video["metadata"]) == (
        "ready",
        "cup final.mp4",
        "video/mp4",
        {"camera": "north"},
    )
    again = fetching.api.post(VIDEOS, json={**body, "filename": "other.mp4"})
    assert (again.status_code, again.json()["video"]["id"]) == (200, video["id"])


def test_off_by_default(stack: Stack):
    """403 that names the setting, whatever the URL."""
    problem = assert_problem(
        stack.api.post(VIDEOS, json={"url": "http://127.0.0.1/"}), 403, "url_ingest_off"
    )
    assert "XCLIP_URL_INGEST" in problem["detail"]


def test_each_refusal_has_its_status(fetching: Stack, origin: Origin):
    """What is not allowed, not there, too large, not a URL: told apart, and nothing stays."""
    origin.answers |= {
        "/gone": head(404, "content-length: 0"),
        "/large": head(200, "content-length: 9999999"),
    }
    for url, status, code in [
        ("ftp://127.0.0.1/a", 403, "url_not_allowed"),
        ("http://10.0.0.1/a", 403, "url_not_allowed"),
        (origin.url("/gone"), 502, "url_unreachable"),
        (origin.url("/large"), 413, "payload_too_large"),
        ("http://a b/", 422, "invalid_url"),
    ]:
        problem = assert_problem(fetching.api.post(VIDEOS, json={"url": url}), status, code)
        assert "10.0.0.1" not in problem["detail"]
    assert on_disk(fetching) == []


def test_a_slow_server_is_504(origin: Origin, encoder: Encoder, tmp_path: Path):
    """The time that the setting gives to all of it is over."""
    origin.answers["/slow"] = drip(b"a" * 5000, 0.02, before=head(200))
    allowed = f"127.0.0.1:{origin.port}"
    with open_stack(tmp_path, encoder, url_ingest=allowed, url_timeout_s=0.2) as stack:
        answer = stack.api.post(VIDEOS, json={"url": origin.url("/slow")})
        assert_problem(answer, 504, "url_too_slow")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"url": 1}',
        b'{"url": ""}',
        b'{"url": "http://a/", "file": "b"}',
        b'{"url": "http://a/", "filename": " "}',
        b'{"url": "http://a/", "metadata": {"a": NaN}}',
        b'{"url": "http://\\ud800/"}',
        b'{"url": "' + b"a" * 5000 + b'"}',
        b"\xff",
    ],
)
def test_a_body_that_is_not_meant_so_is_422(fetching: Stack, body: bytes):
    """Misspelt, of a wrong type, too long, not JSON."""
    answer = fetching.api.post(VIDEOS, content=body, headers={"content-type": "application/json"})
    assert_problem(answer, 422, "invalid_request")


def test_a_missing_collection_is_said_before_anything_is_fetched(fetching: Stack, origin: Origin):
    """404, and the server of the file heard nothing."""
    before = origin.connections
    url = VIDEOS.replace("default", "nowhere")
    assert_problem(
        fetching.api.post(url, json={"url": origin.url("/")}), 404, "collection_not_found"
    )
    assert origin.connections == before


def test_a_client_that_goes_away_ends_the_download(fetching: Stack, origin: Origin):
    """Its server is let go, and no file stays; nobody would hear of the video."""
    before = origin.connections
    origin.answers["/endless"] = drip(b"a" * 100, 0.02, before=head(200))
    body = json.dumps({"url": origin.url("/endless")}).encode()
    messages = iter([{"type": "http.request", "body": body}])
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        while origin.connections == before:
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": VIDEOS,
        "raw_path": VIDEOS.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": dict(fetching.api.app_state),
    }
    asyncio.run(fetching.api.app(scope, receive, send))
    assert sent == []
    assert on_disk(fetching) == []


def test_both_bodies_are_documented(fetching: Stack):
    """A client generator sees the form and the JSON."""
    openapi = fetching.api.get("/openapi.json").json()
    operation = openapi["paths"]["/v1/collections/{collection}/videos"]["post"]
    content = operation["requestBody"]["content"]
    assert set(content) == {"multipart/form-data", "application/json"}
    assert set(content["application/json"]["schema"]["properties"]) == {
        "url",
        "filename",
        "metadata",
    }
    refs = set(re.findall(r'"#/([^"]+)"', json.dumps(content)))
    assert refs == {"components/schemas/JsonValue"}
    assert "JsonValue" in openapi["components"]["schemas"]
    assert {"403", "502", "503", "504"} <= set(operation["responses"])


def test_an_empty_file_at_a_url_is_422(fetching: Stack, origin: Origin):
    """As one that is sent; nothing of it stays."""
    origin.answers["/empty.mp4"] = whole(b"", "content-type: video/mp4")
    answer = fetching.api.post(VIDEOS, json={"url": origin.url("/empty.mp4")})
    assert_problem(answer, 422, "invalid_request")
    assert on_disk(fetching) == []
