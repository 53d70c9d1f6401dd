"""Resumable uploads over HTTP: the tus protocol 1.0.0, as its clients speak it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from app.catalog import Catalog
from app.main import create_app
from app.settings import Settings
from tests.app.conftest import MakeClip
from tests.app.stack import HERE, VIDEOS, Stack, assert_problem
from tests.security.doors import open_doors

UPLOADS = "/v1/collections/default/uploads"
TUS = {"tus-resumable": "1.0.0"}
PIECE = {**TUS, "content-type": "application/offset+octet-stream"}
MAX_BYTES = 1000
AWAY = "http://127.0.0.1:9"  # no worker: nothing is indexed here


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service that takes files of a kilobyte."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"), worker_url=AWAY, max_upload_bytes=MAX_BYTES
    )
    app = create_app(settings)
    with TestClient(app, HERE, raise_server_exceptions=False) as client:
        yield client


def announce(api: TestClient, length: int, **described: str) -> str:
    """A new upload; returns its URL."""
    answer = api.post(UPLOADS, headers={**TUS, "upload-length": str(length), **metadata(described)})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def metadata(described: dict[str, str]) -> dict[str, str]:
    pairs = (f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in described.items())
    return {"upload-metadata": ",".join(pairs)} if described else {}


def send(api: TestClient, url: str, offset: int, part: Any, **headers: str) -> httpx.Response:
    return api.patch(url, content=part, headers={**PIECE, "upload-offset": str(offset), **headers})


def offset_of(api: TestClient, url: str) -> int:
    return int(api.head(url, headers=TUS).headers["upload-offset"])


def test_a_video_sent_in_pieces_is_a_video_like_any_other(stack: Stack, make_clip: MakeClip):
    """Announce, send, ask, send; the last answer names the video and the job, which is done."""
    content = make_clip(seconds=1).read_bytes()
    half = len(content) // 2
    url = announce(
        stack.api,
        len(content),
        filename="a.mp4",
        filetype="video/mp4",
        metadata='{"place": "Köln"}',
    )
    first = send(stack.api, url, 0, content[:half])
    assert (first.status_code, first.headers["upload-offset"]) == (204, str(half))
    assert first.headers["upload-expires"].endswith("GMT")
    assert "x-video-id" not in first.headers
    assert offset_of(stack.api, url) == half
    last = send(stack.api, url, half, content[half:])
    assert (last.status_code, last.headers["upload-offset"]) == (204, str(len(content)))
    while stack.puller.run_one():
        pass
    told = stack.api.get(url).json()
    assert (told["complete"], told["offset"], told["length"]) == (True, len(content), len(content))
    video = stack.api.get(f"{VIDEOS}/{last.headers['x-video-id']}").json()
    assert video == told["video"]
    assert (video["filename"], video["content_type"]) == ("a.mp4", "video/mp4")
    assert (video["metadata"], video["status"]) == ({"place": "Köln"}, "ready")
    assert video["sha256"] == hashlib.sha256(content).hexdigest()
    assert told["job"]["id"] == last.headers["x-job-id"]
    assert told["job"]["status"] == "succeeded"
    stack.api.delete(f"{VIDEOS}/{video['id']}")
    assert stack.api.get(url).json()["video"] is None


def test_the_service_says_what_it_can(api: TestClient):
    """OPTIONS needs no version; every answer names it, refusals too."""
    answer = api.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["tus-extension"] == (
        "creation,creation-defer-length,expiration,checksum,termination"
    )
    assert answer.headers["tus-max-size"] == str(MAX_BYTES)
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"
    missing = api.head("/v1/uploads/upl_none", headers=TUS)
    assert (missing.status_code, missing.headers["tus-resumable"]) == (404, "1.0.0")


def test_another_version_is_refused(api: TestClient):
    """412 with the version that is spoken, before anything else is looked at."""
    for method, path in (
        ("POST", UPLOADS),
        ("HEAD", "/v1/uploads/upl_none"),
        ("PATCH", "/v1/uploads/upl_none"),
        ("DELETE", "/v1/uploads/upl_none"),
    ):
        for headers in ({}, {"tus-resumable": "0.2.2"}):
            answer = api.request(method, path, headers=headers)
            assert (answer.status_code, answer.headers["tus-version"]) == (412, "1.0.0")


def test_an_announcement_is_checked(api: TestClient):
    """Length within the limit, a collection that is there, metadata as of any upload."""
    url = announce(api, MAX_BYTES, filename="../a/b.mp4", relativePath="null")
    told = api.get(url).json()
    assert (told["filename"], told["content_type"]) == ("b.mp4", "application/octet-stream")
    assert (told["offset"], told["complete"], told["video"]) == (0, False, None)

    def refused(length: str, path: str = UPLOADS, **headers: str) -> httpx.Response:
        return api.post(path, headers={**TUS, "upload-length": length, **headers})

    assert_problem(refused(str(MAX_BYTES + 1)), 413, "payload_too_large")
    assert_problem(refused("5", "/v1/collections/none/uploads"), 404, "collection_not_found")
    for length in ("", "0", "-1", "x", "1" * 30):
        assert_problem(refused(length), 422, "invalid_request")
    assert_problem(api.post(UPLOADS, headers=TUS), 422, "invalid_request")
    for sent in ("filename !", "a YQ==,a YQ==", "filename /w==", "a YQ"):
        assert_problem(refused("5", **{"upload-metadata": sent}), 422, "invalid_request")
    for text in ("[]", "{", '{"a": 1, "a": 1}', '{"a": "\\u0000"}', '{"a": NaN}'):
        assert_problem(refused("5", **metadata({"metadata": text})), 422, "invalid_request")


def test_what_was_described_can_be_read_back(api: TestClient):
    """HEAD returns the metadata, the length, and forbids caches."""
    answer = api.head(announce(api, 5, filename="é.mp4"), headers=TUS)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (answer.headers["upload-length"], answer.headers["cache-control"]) == ("5", "no-store")
    pairs = dict(pair.split(" ") for pair in answer.headers["upload-metadata"].split(","))
    assert base64.b64decode(pairs["filename"]).decode() == "é.mp4"
    assert json.loads(base64.b64decode(pairs["metadata"])) == {}


def test_a_piece_must_fit(api: TestClient):
    """By its offset, its length and its kind; what does not fit leaves the upload as it was."""
    url = announce(api, 5)
    assert send(api, url, 0, b"abc").status_code == 204
    assert_problem(send(api, url, 0, b"abc"), 409, "upload_offset_mismatch")
    assert_problem(send(api, url, 3, b"def"), 413, "payload_too_large")
    other = send(api, url, 3, b"de", **{"content-type": "video/mp4"})
    assert_problem(other, 415, "unsupported_media_type")
    assert_problem(api.patch(url, content=b"de", headers=PIECE), 422, "invalid_request")
    assert offset_of(api, url) == 3
    done = send(api, url, 3, b"de")
    again = send(api, url, 5, b"")
    assert again.headers["x-video-id"] == done.headers["x-video-id"]
    assert_problem(send(api, url, 3, b"de"), 409, "upload_offset_mismatch")


def announce_untold(api: TestClient) -> str:
    """A new upload of which nobody knows yet how long it will be; returns its URL."""
    answer = api.post(UPLOADS, headers={**TUS, "upload-defer-length": "1"})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def test_the_length_of_a_recording_is_told_with_its_last_piece(api: TestClient):
    """Until then HEAD says that it is deferred; with it the upload becomes a video."""
    url = announce_untold(api)
    assert send(api, url, 0, b"rec").headers["upload-defer-length"] == "1"
    untold = api.head(url, headers=TUS).headers
    assert (untold["upload-defer-length"], untold["upload-offset"]) == ("1", "3")
    assert "upload-length" not in untold
    assert api.get(url).json()["length"] is None
    done = send(api, url, 3, b"order", **{"upload-length": "8"})
    assert (done.status_code, done.headers["upload-length"]) == (204, "8")
    told = api.get(url).json()
    assert (told["complete"], told["length"], told["video"]["size_bytes"]) == (True, 8, 8)


def test_the_length_may_be_told_before_the_end_or_after_it(api: TestClient):
    """With a piece that is not the last one, or with an empty one behind the last."""
    early = announce_untold(api)
    assert send(api, early, 0, b"earl", **{"upload-length": "5"}).headers["upload-length"] == "5"
    assert "x-video-id" in send(api, early, 4, b"y", **{"upload-length": "5"}).headers
    late = announce_untold(api)
    assert "x-video-id" not in send(api, late, 0, b"late").headers
    assert "x-video-id" in send(api, late, 4, b"", **{"upload-length": "4"}).headers


def test_a_length_that_is_told_stays_and_is_possible(api: TestClient):
    """Another one, one below what is here, none at all and both at once are refused."""
    url = announce_untold(api)
    assert send(api, url, 0, b"abc").status_code == 204
    for length in ("2", "0", "x"):
        refused = send(api, url, 3, b"", **{"upload-length": length})
        assert_problem(refused, 422, "invalid_request")
    too_much = send(api, url, 3, b"", **{"upload-length": str(MAX_BYTES + 1)})
    assert_problem(too_much, 413, "payload_too_large")
    assert send(api, url, 3, b"", **{"upload-length": "5"}).status_code == 204
    changed = send(api, url, 3, b"", **{"upload-length": "4"})
    assert_problem(changed, 422, "invalid_request")
    for headers in (
        {},
        {"upload-defer-length": "1", "upload-length": "5"},
        {"upload-defer-length": "2"},
    ):
        refused = api.post(UPLOADS, headers={**TUS, **headers})
        assert_problem(refused, 422, "invalid_request")


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_recording_has_the_limit_of_every_file(api: TestClient, declared: bool):
    """413 once its bytes would be too many, also where no header says how many come."""
    url = announce_untold(api)
    assert send(api, url, 0, b"x" * (MAX_BYTES - 1)).status_code == 204
    part = b"yz" if declared else iter([b"y", b"z"])
    assert_problem(send(api, url, MAX_BYTES - 1, part), 413, "payload_too_large")
    assert offset_of(api, url) in (MAX_BYTES - 1, MAX_BYTES)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_piece_with_a_checksum_counts_whole_or_not_at_all(api: TestClient, algorithm: str):
    """460 and nothing of it is kept; sent again it is."""
    url = announce(api, 10)

    def checksum(part: bytes) -> str:
        return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, part).digest()).decode()}"

    right = {"upload-checksum": checksum(b"abc")}
    assert_problem(send(api, url, 0, b"abX", **right), 460, "checksum_mismatch")
    assert offset_of(api, url) == 0
    assert send(api, url, 0, b"abc", **right).headers["upload-offset"] == "3"
    for sent in ("md5 AAAA", "sha1", "sha1 !", algorithm, ""):
        refused = send(api, url, 3, b"d", **{"upload-checksum": sent})
        assert refused.status_code in (400, 460)
    assert offset_of(api, url) == 3


def test_an_upload_that_is_not_wanted_any_more_is_removed(api: TestClient):
    """Termination; afterwards it was never there."""
    url = announce(api, 5)
    send(api, url, 0, b"abc")
    assert api.delete(url, headers=TUS).status_code == 204
    assert_problem(api.get(url), 404, "upload_not_found")
    assert_problem(api.delete(url, headers=TUS), 404, "upload_not_found")
    assert_problem(send(api, url, 3, b"de"), 404, "upload_not_found")


def test_an_upload_is_its_own_keys_only(tmp_path: Path):
    """To another key it does not exist, whatever that one may do."""
    with open_doors(tmp_path) as doors:
        other = doors.keys["admin"]
        created = doors.api.post(
            UPLOADS, headers={**TUS, **doors.keys["write"], "upload-length": "5"}
        )
        url = created.headers["location"]
        assert doors.api.get(url, headers=doors.keys["write"]).status_code == 200
        assert_problem(doors.api.get(url, headers=other), 404, "upload_not_found")
        assert doors.api.head(url, headers={**TUS, **other}).status_code == 404
        removed = doors.api.delete(url, headers={**TUS, **other})
        assert_problem(removed, 404, "upload_not_found")


def test_keys_take_turns_however_their_videos_came(tmp_path: Path):
    """The one video of a key is indexed after one of the many that another key sent before."""
    with (
        open_doors(tmp_path) as doors,
        Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite") as jobs,
    ):
        many, one = doors.keys["write"], doors.keys["admin"]
        for number in range(3):
            files = {"file": (f"{number}.mp4", b"many %d" % number)}
            assert doors.api.post(VIDEOS, files=files, headers=many).status_code == 202
        created = doors.api.post(UPLOADS, headers={**TUS, **one, "upload-length": "3"})
        done = send(doors.api, created.headers["location"], 0, b"one", **one)
        claimed = [jobs.claim_job("worker", 60) for _ in range(4)]
        ids = [job.id for job in claimed if job is not None]
        assert ids.index(done.headers["x-job-id"]) == 1


def test_what_a_key_keeps_without_finishing_it_is_bounded(tmp_path: Path):
    """Announced uploads by their number, failed videos by their bytes, until some are deleted."""
    settings = Settings(data_dir=tmp_path, worker_url=AWAY, max_open_uploads=1, max_failed_bytes=0)
    app = create_app(settings)
    with (
        TestClient(app, HERE, raise_server_exceptions=False) as api,
        Catalog.open(settings.catalog_url) as jobs,
    ):
        url = announce(api, 5)
        refused = api.post(UPLOADS, headers={**TUS, "upload-length": "5"})
        assert_problem(refused, 429, "too_many_uploads")
        assert int(refused.headers["retry-after"]) > 0
        assert send(api, url, 0, b"hello").status_code == 204  # the one becomes a video
        job = jobs.claim_job("worker", 60)
        assert job is not None
        assert job.lease_token is not None
        jobs.fail_job(job.id, job.lease_token, code="c", message="m", retry=False)
        files = {"file": ("b.mp4", b"other")}
        assert_problem(api.post(VIDEOS, files=files), 507, "quota_exceeded")
        announced = api.post(UPLOADS, headers={**TUS, "upload-length": "5"})
        assert_problem(announced, 507, "quota_exceeded")
        assert api.delete(f"{VIDEOS}/{job.video_id}").status_code == 204
        assert api.post(VIDEOS, files=files).status_code == 202


def test_a_full_disk_refuses_uploads_and_nothing_else(tmp_path: Path):
    """507 before a body is read; the library is still served, and readiness says why."""
    settings = Settings(data_dir=tmp_path, worker_url=AWAY, min_free_bytes=1 << 62)
    app = create_app(settings)
    with TestClient(app, HERE, raise_server_exceptions=False) as api:
        refused = api.post(UPLOADS, headers={**TUS, "upload-length": "5"})
        assert_problem(refused, 507, "storage_full")
        files = {"file": ("a.mp4", b"abc")}
        assert_problem(api.post(VIDEOS, files=files), 507, "storage_full")
        assert [path.name for path in (tmp_path / "tmp").glob("incoming-*")] == []
        assert list((tmp_path / "uploads").iterdir()) == []
        assert api.get(VIDEOS).status_code == 200
        assert api.app_state["services"].readiness._check_disk().ok is False
