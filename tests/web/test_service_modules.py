"""The page's requests over a real connection: keys, problems, streams of events and uploads."""

from __future__ import annotations

import json
import mimetypes
import threading
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from app.routes.page import WEB_FOLDER
from tests.http_stand_in import serving

# Status, headers and body; one of two parts is sent further when the page has heard the first.
Reply = tuple[int, dict[str, str], bytes | tuple[bytes, bytes]]
JOB = {"id": "job_1", "status": "running", "progress": 0.5}


@dataclass
class Service:
    """A server of the page's files that answers everything else as a test says, in order."""

    page: Page
    url: str
    replies: list[Reply] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)

    def evaluate(self, module: str, function: str, argument: object = None) -> Any:
        """Call what a module exports, in a page that has just been loaded."""
        self.page.goto(self.url)
        script = f"async (given) => ({function})(await import('/static/{module}'), given)"
        return self.page.evaluate(script, argument)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        name = handler.path.partition("?")[0]
        headers = {key.lower(): value for key, value in handler.headers.items()}
        body = handler.rfile.read(int(headers.get("content-length", 0)))
        if name == "/" or name.startswith("/static/") or name == "/favicon.ico":
            path = WEB_FOLDER / name.removeprefix("/static/")
            content = path.read_bytes() if path.is_file() else b"<!doctype html><title>test</title>"
            kind = mimetypes.guess_type(name)[0] or "text/html"
            reply: Reply = (200, {"content-type": kind}, content)
        elif name == "/heard":
            self.heard.set()
            reply = (204, {}, b"")
        else:
            self.seen.append((handler.command, handler.path, headers, body))
            reply = self.replies.pop(0)
        status, answered, content = reply
        parts = content if isinstance(content, tuple) else (content,)
        handler.send_response(status)
        for key, value in {**answered, "content-length": str(sum(map(len, parts)))}.items():
            handler.send_header(key, value)
        handler.end_headers()
        handler.wfile.write(parts[0])
        for part in parts[1:]:
            assert self.heard.wait(60)
            handler.wfile.write(part)


@pytest.fixture(scope="module")
def connected(browser: Browser) -> Iterator[Service]:
    """One server and one page for all tests of this file."""
    context = browser.new_context(locale="en-GB")
    service = Service(context.new_page(), "")
    with serving(service.answer) as service.url:
        yield service
        context.close()


@pytest.fixture
def service(connected: Service) -> Iterator[Service]:
    """With nothing asked yet and no key; every answer of a test has to be asked for."""
    connected.replies, connected.seen = [], []
    connected.heard.clear()
    yield connected
    connected.page.evaluate("sessionStorage.clear()")
    assert connected.replies == []


def said(body: object, status: int = 200, **headers: str) -> Reply:
    """An answer in JSON."""
    return status, headers, json.dumps(body).encode()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (said({"detail": "Busy.", "code": "overloaded"}, 503), ["Busy.", 503, "overloaded", None]),
        ((503, {"retry-after": "7"}, b""), ["The service answered 503.", 503, None, 7]),
        ((503, {"retry-after": "soon"}, b""), ["The service answered 503.", 503, None, None]),
        (said(None, 500), ["The service answered 500.", 500, None, None]),
        (said({"errors": 5, "detail": "a"}, 422), ["The service answered 422.", 422, None, None]),
        (said({"errors": [], "detail": "Bad."}, 422), ["Bad.", 422, None, None]),
        ((404, {}, b"\xff<html>"), ["The service answered 404.", 404, None, None]),
    ],
)
def test_a_refusal_is_a_problem(service: Service, reply: Reply, error: list[Any]) -> None:
    """Whatever its body holds: a sentence, the status, and the code and the wait if it says so."""
    service.replies = [reply]
    script = """({ api }) => api("/v1/models").then(() => null,
      ({ message, status, code, retryAfter }) => [message, status, code, retryAfter])"""
    assert service.evaluate("service.js", script) == error


def test_an_answer_without_content_is_null(service: Service) -> None:
    """As deletions are answered."""
    service.replies = [(204, {}, b"")]
    assert service.evaluate("service.js", '({ api }) => api("/v1/videos/a")') is None


def test_a_request_waits_for_a_key_that_is_accepted(service: Service) -> None:
    """A wrong one is said and not kept; with the right one the request is sent again."""
    refused = said({"detail": "A key, please.", "code": "key_missing"}, 401)
    wrong = said({"detail": "No such key.", "code": "key_invalid"}, 401)
    service.replies = [refused, wrong, said({}), said({"n": 1})]
    script = """async ({ api, keyWanted, useKey }) => {
      let asked = 0;
      const wanted = new Promise((resolve) => keyWanted.subscribe((value) => {
        if (value) { asked += 1; resolve(); }
      }));
      const answer = api("/v1/a");
      await wanted;
      const why = await useKey("wrong").catch((error) => error.message);
      const kept = sessionStorage.getItem("xclip-key");
      await useKey("right");
      return [await answer, asked, why, kept, keyWanted.get()];
    }"""
    found = service.evaluate("service.js", script)
    assert found == [{"n": 1}, 1, "No such key.", None, None]
    keys = [headers.get("authorization") for _, _, headers, _ in service.seen]
    assert keys == [None, "Bearer wrong", "Bearer right", "Bearer right"]


def test_names_are_parts_of_addresses(service: Service) -> None:
    """Whatever letters they hold."""
    script = """({ at }) => [at.video("a/b?", "v#"), at.search("ü"), at.job("..%2F")]"""
    assert service.evaluate("service.js", script) == [
        "/v1/collections/a%2Fb%3F/videos/v%23",
        "/v1/collections/%C3%BC/search",
        "/v1/jobs/..%252F",
    ]


FOLLOW = """async ({ follow }, count) => {
  const heard = [];
  await new Promise((resolve) => follow("job_1", (job) => {
    heard.push([job.status, job.name].join(' ').trim());
    fetch("/heard");
    if (heard.length === count) resolve();
  }));
  return heard;
}"""


def event(**changed: object) -> bytes:
    """A server-sent event about the job, in words of several bytes a letter."""
    data = json.dumps({**JOB, "name": "ü🎬", **changed}, ensure_ascii=False)
    return f"id: 1\nevent: job\ndata: {data}\n\n".encode()


SECOND = event(status="queued")
CUTS = {"letter": SECOND.index("🎬".encode()) + 2, "line": 5, "end": len(SECOND) - 1}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_events_are_heard_however_they_are_cut(service: Service, cut: int) -> None:
    """In the midst of a letter, of a line or of the empty one; a comment is no event."""
    first = b": still here\n\n" + event() + SECOND[:cut]
    rest = SECOND[cut:] + event(status="succeeded")
    service.replies = [(200, {"content-type": "text/event-stream"}, (first, rest))]
    heard = service.evaluate("jobs.js", FOLLOW, 3)
    assert heard == ["running ü🎬", "queued ü🎬", "succeeded ü🎬"]
    assert [path for _, path, _, _ in service.seen] == ["/v1/jobs/job_1/events"]


@pytest.mark.parametrize("stream", [(204, {}, b""), (200, {}, event()[:-20])])
def test_after_a_stream_that_ends_early_the_job_is_read(service: Service, stream: Reply) -> None:
    """Half an event is none; the job itself says what has become of it."""
    service.replies = [stream, said({**JOB, "status": "failed"})]
    assert service.evaluate("jobs.js", FOLLOW, 1) == ["failed"]
    assert [path for _, path, _, _ in service.seen] == ["/v1/jobs/job_1/events", "/v1/jobs/job_1"]


UPLOAD = """async ({ add, isOver, uploads }, [name, type, content]) => {
  const ended = new Promise((resolve) =>
    uploads.subscribe((rows) => rows.every(isOver) && resolve()));
  const skipped = add([new File([content], name, { type })], "films");
  if (!skipped) await ended;
  return [skipped, uploads.get().map(({ state, why, sent }) => [state, why, sent])];
}"""
DONE = {**JOB, "status": "succeeded"}


def test_a_file_is_announced_sent_and_followed(service: Service) -> None:
    """Under its own name, in any letters, with all of its bytes."""
    service.replies = [
        (201, {"location": "/v1/uploads/upl_1"}, b""),
        (204, {"upload-offset": "5"}, b""),
        said({"job": DONE}),
    ]
    found = service.evaluate("uploads.js", UPLOAD, ["Österreich 🎬.mp4", "video/mp4", "12345"])
    assert found == [0, [["ready", None, 5]]]
    announced, sent, looked = service.seen
    assert announced[:2] == ("POST", "/v1/collections/films/uploads")
    assert announced[2]["upload-length"] == "5"
    pairs = dict(pair.split(" ") for pair in announced[2]["upload-metadata"].split(","))
    assert b64decode(pairs["filename"]).decode() == "Österreich 🎬.mp4"
    assert b64decode(pairs["filetype"]) == b"video/mp4"
    assert (sent[0], sent[2]["upload-offset"], sent[3]) == ("PATCH", "0", b"12345")
    assert looked[:2] == ("GET", "/v1/uploads/upl_1")


@pytest.mark.parametrize(
    ("replies", "why"),
    [
        ([said({"detail": "Too large.", "code": "too_large"}, 413)], "Too large."),
        (
            [(201, {"location": "/v1/uploads/upl_1"}, b""), said({"detail": "Full."}, 507)],
            "Full.",
        ),
    ],
)
def test_a_refused_file_says_why(service: Service, replies: list[Reply], why: str) -> None:
    """At its announcement or while it is sent."""
    service.replies = replies
    _, [[state, said_why, _]] = service.evaluate("uploads.js", UPLOAD, ["a.mp4", "", "12345"])
    assert (state, said_why) == ("failed", why)


@pytest.mark.parametrize(
    ("name", "kind", "content", "outcome"),
    [
        ("a.mp4", "", "", [0, [["failed", "The file is empty.", 0]]]),
        ("notes.txt", "text/plain", "a", [1, []]),
        ("mp4", "", "a", [1, []]),
        ("a.mp4.txt", "", "a", [1, []]),
    ],
)
def test_what_cannot_be_a_video_is_not_sent(
    service: Service, name: str, kind: str, content: str, outcome: list[Any]
) -> None:
    """By its type or its name; and an empty one of either."""
    assert service.evaluate("uploads.js", UPLOAD, [name, kind, content]) == outcome
    assert service.seen == []
