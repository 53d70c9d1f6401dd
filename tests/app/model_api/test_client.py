"""The client with several workers: real worker apps on real ports, over one catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from app.main import create_app
from app.model_api.client import WorkerClient
from app.model_api.endpoint import AVOIDED_S, WorkerFailed, WorkerTimedOut, WorkerUnavailable
from app.model_api.secret import SECRET
from app.settings import base_url
from tests.app.stack import HERE, SEARCH, Stack, open_stack
from tests.app.worker.conftest import free_port, serving
from xclip.encoder import Encoder


class Pair:
    """Two workers of one catalog; either can be taken away."""

    def __init__(self, stack: Stack, servers: list[serving]) -> None:
        self.stack = stack
        self.secret = stack.catalog.secret(SECRET)
        self.servers = servers
        self.urls = [server.__enter__() for server in servers]

    def stop(self, number: int) -> None:
        """End one of the workers."""
        self.servers[number].__exit__()

    def api(self) -> TestClient:
        """An API that is told both addresses."""
        settings = self.stack.settings.model_copy(update={"worker_url": ",".join(self.urls)})
        return TestClient(create_app(settings), HERE, raise_server_exceptions=False)


@pytest.fixture
def pair(tmp_path: Path, encoder: Encoder) -> Iterator[Pair]:
    with ExitStack() as opened:
        stacks = [opened.enter_context(open_stack(tmp_path, encoder)) for _ in range(2)]
        workers = Pair(stacks[0], [serving(stack.worker_app) for stack in stacks])
        yield workers
        for number in range(2):
            workers.stop(number)


def calls(api: TestClient) -> dict[str, float]:
    """Embeddings of texts that each worker has counted, by its name."""
    families = text_string_to_metric_families(api.get("/metrics").text)
    return {
        sample.labels["worker"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "xclip_worker_calls_total" and sample.labels["call"] == "/text"
    }


def test_calls_go_round_the_workers_and_are_counted_for_each(pair: Pair) -> None:
    """Four searches are two for each, and the metrics tell the workers apart by a label."""
    with pair.api() as api:
        for number in range(4):
            assert api.post(SEARCH, json={"text": f"red {number}"}).status_code == 200
        names = [url.removeprefix("http://") for url in pair.urls]
        assert calls(api) == dict.fromkeys(names, 2.0)
        text = api.get("/metrics").text
        for name in names:
            assert f'xclip_worker_up{{worker="{name}"}} 1.0' in text
        assert text.count("# TYPE xclip_worker_calls_total ") == 1


def test_the_service_lives_while_one_worker_does(pair: Pair) -> None:
    """With one worker gone each search succeeds and the API is ready; with both it is not."""
    with pair.api() as api:
        pair.stop(0)
        for number in range(3):
            assert api.post(SEARCH, json={"text": f"red {number}"}).status_code == 200
        assert api.get("/readyz").status_code == 200
        worker = api.get("/readyz").json()["checks"]["worker"]
        assert "does not answer" in worker["detail"]
        pair.stop(1)
        assert api.get("/readyz").status_code == 503
        assert api.post(SEARCH, json={"text": "blue"}).status_code == 503


def test_what_writes_a_file_is_not_tried_twice(pair: Pair) -> None:
    """Only calls that change nothing are repeated: the first cut fails with its worker."""
    nobody = base_url("127.0.0.1", free_port())
    client = WorkerClient(nobody, pair.urls[0], secret=pair.secret)
    with pytest.raises(WorkerUnavailable):
        client.cut("0" * 64, "into", start_s=0.0, end_s=1.0, max_bytes=1)
    with pytest.raises(WorkerFailed):  # the next one goes to the worker that answers
        client.cut("0" * 64, "into", start_s=0.0, end_s=1.0, max_bytes=1)
    client.close()


def test_two_kinds_of_calls_by_turns_are_shared_alike() -> None:
    """A search embeds, then scores: neither worker is left with all of the scoring."""
    wire = Wire(None)
    client = client_of(wire, [0.0])
    for _ in range(2):
        client._post("/text", b"", 1.0)
        client._post("/score", b"", 1.0)
    assert wire.asked == ["a", "a", "b", "b"]


class Wire:
    """Workers `a` and `b` by name; `a` is as the test says, `b` has no fault."""

    def __init__(self, broken: Exception | int | None) -> None:
        self.broken = broken
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        if request.url.host == "b" or self.broken is None:
            return httpx.Response(200)
        if isinstance(self.broken, int):
            return httpx.Response(self.broken, json={"code": "x", "message": "no"})
        raise self.broken


def client_of(wire: Wire, now: list[float]) -> WorkerClient:
    transport = httpx.MockTransport(wire)
    return WorkerClient(
        "http://a", "http://b", secret=b"any", transport=transport, clock=lambda: now[0]
    )


def test_an_unavailable_worker_is_avoided_for_a_while_and_then_tried_again() -> None:
    """Only the first call pays for finding out; a worker that is back gets its share."""
    wire, now = Wire(503), [0.0]
    client = client_of(wire, now)
    for _ in range(4):
        client._post("/text", b"", 1.0)
    assert wire.asked == ["a", "b", "b", "b", "b"]
    wire.broken, now[0] = None, AVOIDED_S + 1
    for _ in range(2):
        client._post("/text", b"", 1.0)
    assert sorted(wire.asked[-2:]) == ["a", "b"]


@pytest.mark.parametrize(
    ("broken", "error"), [(httpx.ReadTimeout("silent"), WorkerTimedOut), (500, WorkerFailed)]
)
def test_a_call_that_another_worker_would_not_save_is_not_repeated(
    broken: Exception | int, error: type[Exception]
) -> None:
    """A failure is the answer, and after a timeout nobody waits for twice as long."""
    wire = Wire(broken)
    with pytest.raises(error):
        client_of(wire, [0.0])._post("/text", b"", 1.0)
    assert wire.asked == ["a"]
