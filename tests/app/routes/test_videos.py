"""Videos: uploaded as a stream, kept once, played back, taken away."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.app.conftest import MakeClip
from tests.app.stack import SEARCH, VIDEOS, Stack, assert_problem, open_stack
from tests.app.stored_files import content_file, thumbnail_file
from xclip.encoder import Encoder


def on_disk(stack: Stack) -> list[str]:
    """Every file of the data folder that an upload could have made."""
    folders = (stack.media.tmp, stack.settings.data_dir / "media")
    files = [path.name for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [name for name in files if not name.endswith(".lock")]


def test_an_upload_is_accepted_with_a_job(stack: Stack, make_clip: MakeClip):
    """202, the video, its job, and where to follow it; the bytes are safe under their hash."""
    path = make_clip("My clip.mp4", seconds=1)
    files = {"file": (path.name, path.read_bytes(), "video/mp4")}
    answer = stack.api.post(VIDEOS, files=files, data={"metadata": '{"place": "Köln"}'})
    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{body['job']['id']}"
    assert stack.api.get(answer.headers["location"]).json() == body["job"]
    video = body["video"]
    assert (video["filename"], video["content_type"]) == ("My clip.mp4", "video/mp4")
    assert (video["status"], video["job_id"]) == ("processing", body["job"]["id"])
    assert (video["metadata"], video["error"]) == ({"place": "Köln"}, None)
    assert body["job"]["status"] == "queued"
    assert on_disk(stack) == [video["sha256"]]
    assert content_file(stack.media, video["sha256"]).read_bytes() == path.read_bytes()


def test_a_finished_video_carries_what_the_probe_found(library: Stack):
    """Container, codec, size and duration are facts of the file."""
    videos = library.api.get(VIDEOS).json()["items"]
    assert [video["filename"] for video in videos] == [f"clip {n}.mp4" for n in (3, 2, 1, 0)]
    newest = videos[0]
    assert (newest["container"], newest["codec"]) == ("mp4", "mpeg4")
    assert (newest["width"], newest["height"], newest["duration_s"]) == (64, 64, 4.0)
    assert newest["status"] == "ready"


def test_the_same_bytes_are_the_same_video(stack: Stack, make_clip: MakeClip):
    """200 with the first video, under whatever name they come; one file, one job."""
    path = make_clip(seconds=1)
    first = stack.upload(path)
    answer = stack.api.post(VIDEOS, files={"file": ("other.mp4", path.read_bytes())})
    assert answer.status_code == 200
    again = answer.json()
    assert (again["already_here"], again["job"]) == (True, first["job"])
    assert again["video"] == {**first["video"], "further_names": ["other.mp4"]}
    assert len(stack.api.get("/v1/jobs").json()["items"]) == 1
    assert on_disk(stack) == [first["video"]["sha256"]]


def test_an_unreadable_file_fails_with_a_code_and_may_be_sent_again(stack: Stack):
    """Whatever the bytes are, the upload is accepted and its job says what is wrong."""
    answer = stack.api.post(VIDEOS, files={"file": ("a.mp4", b"these are no pictures")})
    assert answer.status_code == 202
    assert stack.puller.run_one()
    video = stack.api.get(f"{VIDEOS}/{answer.json()['video']['id']}").json()
    assert (video["status"], video["error"]["code"]) == ("failed", "unreadable_video")
    assert video["error"]["message"].endswith(".")
    job = stack.api.get(f"/v1/jobs/{video['job_id']}").json()
    assert (job["status"], job["error"]) == ("failed", video["error"])
    again = stack.api.post(VIDEOS, files={"file": ("a.mp4", b"these are no pictures")})
    assert again.status_code == 202
    assert again.json()["video"]["id"] == video["id"]
    assert again.json()["job"]["id"] != video["job_id"]


def test_an_empty_file_is_refused_and_leaves_nothing(stack: Stack):
    """In the words of a resumable upload of length 0: no job has to fail to say so."""
    answer = stack.api.post(VIDEOS, files={"file": ("a.mp4", b"")})
    assert_problem(answer, 422, "invalid_request")
    assert answer.json()["detail"] == "The file is empty."
    assert on_disk(stack) == []
    assert stack.api.get("/v1/jobs").json()["items"] == []


def test_an_upload_may_wait_for_its_job(stack: Stack, make_clip: MakeClip):
    """With `Prefer: wait` the answer has the job and the video as they are at the end."""
    stack.ingest(make_clip("first.mp4", seconds=1, seed=7))  # the first decoder takes its time
    files = {"file": ("a.mp4", make_clip(seconds=1).read_bytes())}
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stack.api.post, VIDEOS, files=files, headers={"prefer": "wait=60"})
        while not stack.puller.run_one():
            time.sleep(0.02)
        answer = waiting.result()
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=60")
    assert answer.json()["job"]["status"] == "succeeded"
    assert answer.json()["video"]["status"] == "ready"


@pytest.mark.parametrize(
    "metadata",
    ["{", "[]", '"x"', '{"a": NaN}', '{"a": "\\ud800"}', "[" * 50_000, '{"a": "\\u0000"}'],
)
def test_an_upload_with_bad_metadata_leaves_nothing(stack: Stack, metadata: str):
    """Metadata is checked before anything is kept."""
    answer = stack.api.post(
        VIDEOS, files={"file": ("a.mp4", b"x" * 100)}, data={"metadata": metadata}
    )
    assert_problem(answer, 422, "invalid_request")
    assert on_disk(stack) == []
    assert stack.api.get(VIDEOS).json()["items"] == []


def test_an_upload_into_no_collection_is_refused_unread(stack: Stack):
    """404 before the file is received."""
    sent = drive(stack, "/v1/collections/none/videos", iter([b"x" * 1000]))
    assert sent.status == 404
    assert sent.taken == 0


class Sent:
    """What happened to a request that was driven message by message."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.body = b""
        self.taken = 0


def drive(
    stack: Stack,
    url: str,
    pieces: Iterator[bytes],
    *,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    abort: bool = False,
) -> Sent:
    """POST `pieces` one by one to the application itself; with `abort`, hang up after them."""
    sent = Sent()

    async def receive() -> dict[str, Any]:
        piece = next(pieces, None)
        if piece is None:
            return {"type": "http.disconnect"} if abort else {"type": "http.request", "body": b""}
        sent.taken += len(piece)
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        sent.status = message.get("status", sent.status)
        sent.body += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": url,
        "raw_path": url.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"multipart/form-data; boundary=b"),
            *headers,
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": dict(stack.api.app_state),
    }
    asyncio.run(stack.api.app(scope, receive, send))
    return sent


HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'


def test_an_aborted_upload_leaves_nothing(stack: Stack):
    """A client that hangs up in the middle leaves no file, no video and no job."""
    sent = drive(stack, VIDEOS, iter([HEAD, b"x" * 3_000_000]), abort=True)
    assert sent.status is None
    assert on_disk(stack) == []
    assert stack.api.get("/v1/jobs").json()["items"] == []


def test_memory_stays_flat_however_large_the_file(stack: Stack):
    """64 MiB pass through a few MiB of memory."""
    piece = bytes(range(256)) * 256

    def body() -> Iterator[bytes]:
        yield HEAD
        for _ in range(1024):
            yield piece
        yield b"\r\n--b--\r\n"

    tracemalloc.start()
    try:
        sent = drive(stack, VIDEOS, body())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent.status == 202
    assert json.loads(sent.body)["video"]["size_bytes"] == 64 << 20
    assert peak < 16 << 20


@pytest.fixture
def small_limit(tmp_path: Path, encoder: Encoder) -> Iterator[Stack]:
    """A service that takes files of at most 2 MB."""
    with open_stack(tmp_path / "small", encoder, max_upload_bytes=2_000_000) as opened:
        yield opened


def test_a_declared_length_over_the_limit_is_refused_unread(small_limit: Stack):
    """413 before a byte is taken, so that a waiting client need not send it."""
    length = (b"content-length", b"5000000")
    sent = drive(small_limit, VIDEOS, iter([HEAD, b"x" * 5_000_000]), headers=(length,))
    assert (sent.status, sent.taken) == (413, 0)
    assert json.loads(sent.body)["code"] == "payload_too_large"
    assert on_disk(small_limit) == []


def test_an_undeclared_length_over_the_limit_is_cut_off(small_limit: Stack):
    """A stream without end is a 413 soon after the limit."""

    def endless() -> Iterator[bytes]:
        yield HEAD
        while True:
            yield b"x" * 100_000

    sent = drive(small_limit, VIDEOS, endless())
    assert sent.status == 413
    assert sent.taken < 4_000_000
    assert on_disk(small_limit) == []


def test_a_file_of_exactly_the_limit_is_taken(small_limit: Stack):
    """The limit itself is allowed."""
    files = {"file": ("a.mp4", b"x" * 2_000_000)}
    assert small_limit.api.post(VIDEOS, files=files).status_code == 202
    files = {"file": ("a.mp4", b"x" * 2_000_001)}
    assert_problem(small_limit.api.post(VIDEOS, files=files), 413, "payload_too_large")


def test_videos_are_listed_by_status_and_page(library: Stack):
    """A cursor goes on where the page ended; a status leaves the others out."""
    first = library.api.get(VIDEOS, params={"limit": 3}).json()
    rest = library.api.get(VIDEOS, params={"limit": 3, "cursor": first["next_cursor"]}).json()
    ids = [video["id"] for video in first["items"] + rest["items"]]
    assert (len(ids), len(set(ids)), rest["next_cursor"]) == (4, 4, None)
    assert library.api.get(VIDEOS, params={"status": "failed"}).json()["items"] == []
    refused = library.api.get(VIDEOS, params={"status": "lost"})
    assert_problem(refused, 422, "invalid_request")
    refused = library.api.get(VIDEOS, params={"cursor": "bogus"})
    assert_problem(refused, 422, "invalid_cursor")


def test_unknown_videos_are_not_found(library: Stack):
    """Every address below a video that is not there says so."""
    for path in ("", "/content", "/thumbnail", "/segments"):
        answer = library.api.get(f"{VIDEOS}/vid_none{path}")
        assert_problem(answer, 404, "video_not_found")
    assert_problem(library.api.delete(f"{VIDEOS}/vid_none"), 404, "video_not_found")


def test_metadata_is_replaced(stack: Stack, make_clip: MakeClip):
    """PATCH replaces all of it; the file is untouched."""
    video = stack.upload(make_clip(seconds=1), metadata='{"a": 1}')["video"]
    answer = stack.api.patch(f"{VIDEOS}/{video['id']}", json={"metadata": {"b": None}})
    assert answer.json() == {**video, "metadata": {"b": None}}
    refused = stack.api.patch(f"{VIDEOS}/{video['id']}", json={"metadata": {}, "filename": "x"})
    assert_problem(refused, 422, "invalid_request")


def newest(stack: Stack) -> dict[str, Any]:
    return stack.api.get(VIDEOS, params={"limit": 1}).json()["items"][0]


def test_content_comes_back_whole_and_in_ranges(library: Stack):
    """200, 206 and 416 as players expect them; HEAD without a body."""
    video = newest(library)
    url = video["content_url"]
    stored = content_file(library.media, video["sha256"]).read_bytes()
    whole = library.api.get(url)
    assert (whole.status_code, whole.content) == (200, stored)
    assert whole.headers["accept-ranges"] == "bytes"
    some = library.api.get(url, headers={"range": "bytes=10-19"})
    assert (some.status_code, some.content) == (206, stored[10:20])
    assert some.headers["content-range"] == f"bytes 10-19/{len(stored)}"
    tail = library.api.get(url, headers={"range": "bytes=-5"})
    assert (tail.status_code, tail.content) == (206, stored[-5:])
    head = library.api.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(stored))
    past = library.api.get(url, headers={"range": f"bytes={len(stored)}-"})
    assert_problem(past, 416, "range_not_satisfiable")
    assert past.headers["content-range"] == f"bytes */{len(stored)}"


def test_content_is_never_what_the_sender_called_it(stack: Stack, make_clip: MakeClip):
    """The type is the probe's, sniffing is off, and the name is an encoded label."""
    name = 'we"ird\u00e9.html'
    content = make_clip(seconds=1).read_bytes()
    answer = stack.api.post(VIDEOS, files={"file": (name, content, "text/html")})
    url = answer.json()["video"]["content_url"]
    before = stack.api.get(url)
    assert before.headers["content-type"] == "application/octet-stream"
    stack.puller.run_one()
    after = stack.api.get(url)
    assert after.headers["content-type"] == "video/mp4"
    for served in (before, after):
        assert served.headers["x-content-type-options"] == "nosniff"
        assert served.headers["content-disposition"].startswith("inline; filename*=utf-8''we")
        assert "\u00e9" not in served.headers["content-disposition"]


def test_content_that_was_lost_is_said_to_be_lost(stack: Stack, make_clip: MakeClip):
    """A file missing under a live row is a 404 with its own code, not a crash."""
    video = stack.upload(make_clip(seconds=1))["video"]
    stack.media.remove_content(video["sha256"])
    assert_problem(stack.api.get(video["content_url"]), 404, "content_not_found")


def test_segments_cover_the_video_and_have_pictures(library: Stack):
    """Windows in order, from 0 to the end, each with a webp of its own."""
    video = newest(library)
    segments = library.api.get(f"{VIDEOS}/{video['id']}/segments").json()["items"]
    assert [segment["index"] for segment in segments] == list(range(7))
    assert [segment["start"] for segment in segments] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert segments[-1]["end"] == video["duration_s"]
    for segment in segments:
        answer = library.api.get(segment["thumbnail_url"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
        stored = thumbnail_file(library.media, video["id"], segment["index"])
        assert answer.content == stored.read_bytes()
        with Image.open(stored) as picture:
            assert picture.format == "WEBP"


def test_a_picture_of_any_moment_is_the_nearest_segments(library: Stack):
    """Without a moment it is the first; past the end it is the last; nonsense is refused."""
    video = newest(library)

    def picture(moment: str) -> bytes:
        return library.api.get(f"{video['thumbnail_url']}{moment}").content

    def stored(index: int) -> bytes:
        return thumbnail_file(library.media, video["id"], index).read_bytes()

    assert picture("") == stored(0)
    assert picture("?t=2.1") == stored(3)
    assert picture("?t=99999") == stored(6)
    for moment in ("?t=-1", "?t=nan", "?t=x"):
        answer = library.api.get(f"{video['thumbnail_url']}{moment}")
        assert_problem(answer, 422, "invalid_request")


def test_there_is_no_picture_before_the_ingest(stack: Stack, make_clip: MakeClip):
    """404 with its own code, so that a page can wait for it."""
    video = stack.upload(make_clip(seconds=1))["video"]
    assert_problem(stack.api.get(video["thumbnail_url"]), 404, "thumbnail_not_found")
    assert stack.api.get(f"{VIDEOS}/{video['id']}/segments").json()["items"] == []


def test_a_deleted_video_is_gone_everywhere(stack: Stack, make_clip: MakeClip):
    """Row, job, segments, bytes, pictures and search results; the same bytes may come again."""
    path = make_clip(seconds=1)
    video = stack.ingest(path)
    assert len(stack.api.post(SEARCH, json={"text": "red"}).json()["results"]) == 1
    assert stack.api.delete(f"{VIDEOS}/{video['id']}").status_code == 204
    found = stack.api.post(SEARCH, json={"text": "red"}).json()
    assert (found["results"], found["index"]["segments_total"]) == ([], 0)
    assert on_disk(stack) == []
    assert not thumbnail_file(stack.media, video["id"], 0).exists()
    assert_problem(stack.api.get(f"{VIDEOS}/{video['id']}"), 404, "video_not_found")
    again = stack.ingest(path)
    assert again["id"] != video["id"]
    assert len(stack.api.post(SEARCH, json={"text": "red"}).json()["results"]) == 1


def test_deleting_one_of_two_videos_with_the_same_bytes_spares_the_bytes(
    stack: Stack, make_clip: MakeClip
):
    """Collections share content by hash; it goes with the last of them."""
    path = make_clip(seconds=1)
    stack.api.put("/v1/collections/other")
    here = stack.upload(path)["video"]
    there = stack.upload(path, "/v1/collections/other/videos")["video"]
    assert (here["sha256"], here["id"]) != (there["sha256"], there["id"])
    stack.api.delete(f"{VIDEOS}/{here['id']}")
    assert stack.api.get(there["content_url"]).content == path.read_bytes()
    stack.api.delete(f"/v1/collections/other/videos/{there['id']}")
    assert on_disk(stack) == []


def test_an_upload_that_waits_for_the_disk_holds_up_nobody(stack: Stack, make_clip: MakeClip):
    """Writing happens in threads: while an upload waits, the event loop answers."""
    files = {"file": ("a.mp4", make_clip(seconds=1).read_bytes())}
    with ThreadPoolExecutor(1) as pool:
        with stack.media.exclusive():
            upload = pool.submit(stack.api.post, VIDEOS, files=files)
            assert wait([upload], timeout=0.3).not_done
            assert stack.api.get("/livez").status_code == 200
            assert not upload.done()
        assert upload.result().status_code == 202
