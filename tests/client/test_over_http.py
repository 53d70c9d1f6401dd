"""Both clients over a real connection: what is sent, and what becomes of odd and broken answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.http_stand_in import serving
from xclip_search import ApiError, AsyncClient, Client, ServiceAway, StillWaiting

Operation = Callable[[Any], Any]
Run = Callable[..., Any]
LIST = {"items": [], "next_cursor": None}
NOW = "2026-01-01T00:00:00Z"
SET = {"name": "set", "size": 2, "templates": [], "created_at": NOW, "updated_at": NOW}
PROBLEM = {"type": "", "title": "", "detail": "Busy.", "code": "overloaded", "request_id": ""}


@dataclass(frozen=True)
class Reply:
    """What the stand-in answers to one request."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0  # bytes of the body that do not come


@dataclass
class Service:
    """A stand-in for the service and the requests that reached it: method, path, headers, body."""

    url: str
    seen: list[tuple[str, str, Mapping[str, str], bytes]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """The paths asked for, with their queries."""
        return [path for _, path, _, _ in self.seen]


@contextmanager
def answering(*replies: Reply) -> Iterator[Service]:
    """A server that gives these answers one after the other."""
    left = list(replies)
    service = Service("")

    def answer(handler: BaseHTTPRequestHandler) -> None:
        sent = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        service.seen.append((handler.command, handler.path, headers, sent))
        reply = left.pop(0)
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) - reply.cut])
        handler.close_connection = True

    with serving(answer) as service.url:
        yield service
    assert not left, "fewer requests came than were expected"


def blocking(url: str, operation: Operation, **choices: Any) -> Any:
    """The result of an operation of the blocking client."""
    with Client(url, **choices) as client:
        result = operation(client)
        return list(result) if isinstance(result, Iterator) else result


def awaited(url: str, operation: Operation, **choices: Any) -> Any:
    """The result of the same operation of the asynchronous one."""

    async def run() -> Any:
        async with AsyncClient(url, **choices) as client:
            result = operation(client)
            if isinstance(result, AsyncIterator):
                return [each async for each in result]
            return await result

    return anyio.run(run)


@pytest.fixture(params=[blocking, awaited])
def run(request: pytest.FixtureRequest) -> Run:
    """Carries an operation out with one of the two clients."""
    return request.param


@pytest.mark.parametrize("missing", [1, 10])
def test_a_truncated_answer_is_asked_for_again(run: Run, missing: int) -> None:
    """Half an answer is never taken for a whole one."""
    answer = Reply(200, {"items": [SET], "next_cursor": None})
    with answering(Reply(200, answer.body, cut=missing), answer) as service:
        found = run(service.url, lambda client: client.label_sets())
    assert [each.name for each in found] == ["set"]
    assert len(service.seen) == 2


def test_a_truncated_answer_to_what_may_be_done_once_is_an_error(run: Run) -> None:
    """The caller has to look what became of it."""
    with (
        answering(Reply(200, {"pending_removals": 0}, cut=3)) as service,
        pytest.raises(ServiceAway) as away,
    ):
        run(service.url, lambda client: client.delete_video("vid_1"))
    assert away.value.code == "service_away"


def test_pages_follow_each_other_to_the_last(run: Run) -> None:
    """Each cursor is sent back as it came, and an empty page with a cursor is not the end."""
    pages = [
        {"items": [SET], "next_cursor": "a+/=& b"},
        {"items": [], "next_cursor": "ü"},
        {"items": [SET, SET], "next_cursor": None},
    ]
    with answering(*(Reply(200, page) for page in pages)) as service:
        found = run(service.url, lambda client: client.label_sets())
    assert len(found) == 3
    assert service.paths == [
        "/v1/label-sets?limit=200",
        "/v1/label-sets?cursor=a%2B%2F%3D%26+b&limit=200",
        "/v1/label-sets?cursor=%C3%BC&limit=200",
    ]


def test_an_error_between_pages_keeps_what_came_before(run: Run) -> None:
    """The items of whole pages have been handed out by then."""
    got: list[str] = []

    def walk(client: Any) -> Any:
        if isinstance(client, Client):
            got.extend(each.name for each in client.label_sets())
            return None

        async def read() -> None:
            async for each in client.label_sets():
                got.append(each.name)  # noqa: PERF401  an error has to leave what came before it

        return read()

    pages = Reply(200, {"items": [SET], "next_cursor": "x"}), Reply(404, {**PROBLEM, "status": 404})
    with answering(*pages) as service, pytest.raises(ApiError) as gone:
        run(service.url, walk)
    assert (got, gone.value.status) == (["set"], 404)


def test_a_refusal_for_now_is_waited_out(run: Run) -> None:
    """As long as the service says, here not at all; then the answer comes."""
    busy = Reply(503, {**PROBLEM, "status": 503}, {"retry-after": "0"})
    with answering(busy, busy, Reply(200, LIST)) as service:
        assert run(service.url, lambda client: client.label_sets()) == []


def test_more_time_than_there_is_patience_for_ends_it(run: Run) -> None:
    """The refusal itself is the error, with what the service asked for."""
    busy = Reply(429, {**PROBLEM, "status": 429}, {"retry-after": "31"})
    with answering(busy) as service, pytest.raises(ApiError) as refused:
        run(service.url, lambda client: client.label_sets(), patience_s=30)
    assert (refused.value.code, refused.value.retry_after_s) == ("overloaded", 31)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(run: Run, status: int) -> None:
    """A key would go along to wherever it leads."""
    elsewhere = Reply(status, b"", {"location": "http://127.0.0.1:1/elsewhere"})
    with answering(elsewhere) as service, pytest.raises(ApiError) as refused:
        run(service.url, lambda client: client.job("job_1"), key="xclip_a")
    assert (refused.value.code, refused.value.status) == ("unexpected_answer", status)


@pytest.mark.parametrize("ending", ["", "/", "///"])
def test_a_service_may_live_below_a_path(run: Run, ending: str) -> None:
    """Its prefix stands before every path, however the URL ends."""
    with answering(Reply(200, LIST)) as service:
        run(f"{service.url}/video{ending}", lambda client: client.label_sets())
    assert service.paths == ["/video/v1/label-sets?limit=200"]


def test_no_proxy_stands_before_this_machine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment names would neither reach it nor be trusted with its key."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with answering(Reply(200, LIST)) as service:
        assert run(service.url, lambda client: client.label_sets()) == []


def test_a_proxy_is_asked_for_anything_further_away(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole URLs reach it, and it alone is connected to."""
    with answering(Reply(200, LIST)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        run("http://video.invalid", lambda client: client.label_sets())
    assert proxy.paths == ["http://video.invalid/v1/label-sets?limit=200"]


def test_what_is_none_is_left_out_of_a_search(run: Run) -> None:
    """But false, zero and empty are said; a tuple is a list."""
    with answering(Reply(422, {**PROBLEM, "status": 422})) as service, pytest.raises(ApiError):
        run(
            service.url,
            lambda client: client.search(
                collection="films", then=("ü", "b"), within_s=0, merge=False, filter={}, top_k=None
            ),
        )
    ((method, path, headers, body),) = service.seen
    assert (method, path) == ("POST", "/v1/collections/films/search")
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"then": ["ü", "b"], "within_s": 0, "merge": False, "filter": {}}


def test_a_search_can_wait_for_a_job(run: Run) -> None:
    """The service answers it after the job, so the client sets no limit of its own."""
    with answering(Reply(404, {**PROBLEM, "status": 404})) as service, pytest.raises(ApiError):
        run(service.url, lambda client: client.search("a", after_job="job_9"))
    assert json.loads(service.seen[0][3]) == {"text": "a", "after_job": "job_9"}


@pytest.mark.parametrize(
    "operation",
    [
        lambda client: client.search("caf\udce9"),
        lambda client: client.video("caf\udce9"),
        lambda client: client.heatmap("vid_1", "caf\udce9"),
        lambda client: client.put_label_set("set", ["a", "caf\udce9"]),
        lambda client: client.delete_video(".."),
    ],
    ids=["search", "video", "heatmap", "labels", "parent"],
)
def test_what_cannot_be_sent_is_a_refusal(run: Run, operation: Operation) -> None:
    """Text of a shell that is no UTF-8, or a name that is none, and not a traceback."""
    with answering() as service, pytest.raises(ApiError) as refused:
        run(service.url, operation)
    assert (refused.value.code, refused.value.status) == ("invalid_request", None)


@pytest.mark.parametrize(("content", "pending"), [(b"", 0), (b'{"pending_removals": 3}', 3)])
def test_a_deletion_says_what_is_left_to_remove(run: Run, content: bytes, pending: int) -> None:
    """An empty answer means that nothing is."""
    with answering(Reply(200, content)) as service:
        assert run(service.url, lambda client: client.delete_collection("films")) == pending
    assert service.seen[0][:2] == ("DELETE", "/v1/collections/films")


def test_a_picture_is_its_bytes(run: Run) -> None:
    """Whatever they are, and from the address that an answer named."""
    content = bytes(range(256))
    with answering(Reply(200, content)) as service:
        assert run(service.url, lambda client: client.picture("/v1/a/thumbnail?at=1.5")) == content
    assert service.paths == ["/v1/a/thumbnail?at=1.5"]


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [("AACAPwAAAMA=", [1.0, -2.0]), ("", []), (None, None)],
)
def test_a_vector_is_an_array(run: Run, encoded: str | None, expected: list[float] | None) -> None:
    """Of float32; what the service cannot read is None."""
    segment = {"segment_id": "seg_1", "index": 0, "start": 0, "end": 1, "embedding": encoded}
    with answering(Reply(200, {"video_id": "vid_1", "model": "m", "items": [segment]})) as service:
        (item,) = run(service.url, lambda client: client.embeddings("vid_1")).items
    assert (None if item.embedding is None else item.embedding.tolist()) == expected
    assert (item.segment_id, item.index, item.start, item.end) == ("seg_1", 0, 0.0, 1.0)


@pytest.mark.parametrize("encoded", ["AAA", "AAAA", "no base64!"])
def test_a_vector_that_is_none_is_an_error_with_a_code(run: Run, encoded: str) -> None:
    """As every answer that the service would not give."""
    segment = {"segment_id": "seg_1", "index": 0, "start": 0, "end": 1, "embedding": encoded}
    reply = Reply(200, {"video_id": "vid_1", "model": "m", "items": [segment]})
    with answering(reply) as service, pytest.raises(ApiError) as refused:
        run(service.url, lambda client: client.embeddings("vid_1"))
    assert (refused.value.code, refused.value.status) == ("unexpected_answer", 200)


def test_readiness_is_yes_or_no(run: Run) -> None:
    """A refusal, a cut and silence are all no, and none is asked again."""
    ready = {"ready": True, "checks": {}}
    replies = Reply(200, ready), Reply(503, {**ready, "ready": False}), Reply(200, ready, cut=5)
    with answering(*replies) as service:
        found = [run(service.url, lambda client: client.is_ready()) for _ in replies]
    assert found == [True, False, False]
    assert run("http://127.0.0.1:1", lambda client: client.is_ready()) is False


def test_a_wait_goes_on_after_a_refusal_for_now(run: Run) -> None:
    """And ends by itself where its time is over."""
    job = {
        **dict.fromkeys(["stage", "seconds_done", "seconds_total", "eta_s", "not_before", "error"]),
        **dict.fromkeys(["started_at", "finished_at", "searchable_at"]),
        "id": "job_1",
        "kind": "ingest",
        "collection": "a",
        "video_id": "vid_1",
        "status": "running",
        "revision": 1,
        "progress": 0.5,
        "attempts": 1,
        "created_at": NOW,
    }
    busy = Reply(503, {**PROBLEM, "status": 503}, {"retry-after": "0"})
    with answering(busy, Reply(200, job)) as service, pytest.raises(StillWaiting):
        run(service.url, lambda client: client.wait("job_1", timeout_s=0))
    assert [headers["prefer"] for _, _, headers, _ in service.seen] == ["wait=0", "wait=0"]


def test_what_answers_as_a_workers_probe_does_is_no_service(run: Run) -> None:
    """A worker answers its probe with 200 and nothing; other programs with what they like."""
    for reply in (Reply(200, None), Reply(200, {}), Reply(200, {"ready": False, "checks": {}})):
        with answering(reply) as service:
            assert run(service.url, lambda client: client.is_ready()) is False


def test_a_file_may_be_named_by_text(run: Run, tmp_path: Path) -> None:
    """As with `open`: a path is one of the ways to write a file's name."""
    (tmp_path / "a.mp4").write_bytes(b"x")
    for name in (str(tmp_path / "a.mp4"), tmp_path / "a.mp4"):
        with (
            answering(Reply(413, {"code": "seen"})) as service,
            pytest.raises(ApiError),
        ):
            run(service.url, lambda client, name=name: client.upload(name))
        assert len(service.seen) == 1


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:1", "http://127.0.0.1:1", "http://[::1", "x"])
def test_an_address_that_leads_nowhere_is_told_in_whole_sentences(run: Run, url: str) -> None:
    """One full stop, and no word of the command line's options."""
    with pytest.raises(ServiceAway) as away:
        run(url, lambda client: client.models())
    assert str(away.value).endswith(".")
    assert ".." not in str(away.value)
    assert "--" not in str(away.value)
