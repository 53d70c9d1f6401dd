"""The client with several workers: real worker apps on real ports, over one catalog."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families
from safetensors.numpy import save
from starlette.testclient import TestClient

from app.main import create_app
from app.model_api.circuit_breaker import FIRST_PAUSE_S
from app.model_api.client import WorkerClient
from app.model_api.endpoint import (
    MODEL_TIMEOUT_S,
    WorkerFailed,
    WorkerTimedOut,
    WorkerUnavailable,
)
from app.model_api.failover import Failover, WorkerCall
from app.model_api.messages import FINGERPRINT_HEADER, MODEL_NAME_HEADER, SCORE_KIND_HEADER
from app.model_api.response_times import FIRST_ANSWER_S
from app.model_api.secret import SECRET
from app.service_urls import base_url
from tests.app.conftest import MakeClip
from tests.app.stack import CLASSIFY, HERE, SEARCH, Stack, open_stack
from tests.app.worker.conftest import free_port, serving
from xclip.encoder import Encoder
from xclip.encoders import load_encoder
from xclip.model import XCLIPModel
from xclip.weights import save_model


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


def test_a_cut_reaches_the_one_worker_that_is_there(pair: Pair) -> None:
    """Nothing has begun where nobody answers, so even what writes a file goes on to the next."""
    nobody = [base_url("127.0.0.1", free_port()) for _ in range(2)]
    client = WorkerClient(*nobody, pair.urls[0], secret=pair.secret)
    for _ in range(4):
        with pytest.raises(WorkerFailed) as failure:  # of the worker that answers
            client.cut("0" * 64, "into", start_s=0.0, end_s=1.0, max_bytes=1)
        assert failure.value.code == "invalid_request"
        assert len(client.encode_text(["red"]).embeddings) == 1
    client.close()


@pytest.fixture
def frozen_url() -> Iterator[str]:
    """The address of a process that is stopped: its kernel takes connections, nobody answers."""
    script = (
        "import socket, time; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); time.sleep(6000)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        process.send_signal(signal.SIGSTOP)
        yield base_url("127.0.0.1", port)
        process.kill()


class NotedTransport(httpx.HTTPTransport):
    """Real connections; notes the port and the path of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int | None, str]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.url.port, request.url.path))
        return super().handle_request(request)


def test_a_frozen_worker_costs_one_search_a_moment_and_stops_none(
    pair: Pair, frozen_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other worker answers each search, clip and cut; only the first one asks in vain."""
    monkeypatch.setattr("app.model_api.response_times.FIRST_ANSWER_S", 0.5)
    transport, frozen = NotedTransport(), httpx.URL(frozen_url).port
    client = WorkerClient(
        frozen_url, pair.urls[0], secret=pair.secret, transport=transport, clock=lambda: 0.0
    )
    with TestClient(create_app(pair.stack.settings, worker=client), HERE) as api:
        for number in range(10):
            assert api.post(SEARCH, json={"text": f"red {number}"}).status_code == 200
        assert [path for port, path in transport.asked if port == frozen] == ["/text"]
        assert api.get("/readyz").status_code == 200
    client = WorkerClient(frozen_url, pair.urls[0], secret=pair.secret)
    with pytest.raises(WorkerFailed) as failure:
        client.cut("0" * 64, "into", start_s=0.0, end_s=1.0, max_bytes=1)
    assert failure.value.code == "invalid_request"
    client.close()


def test_a_worker_of_another_catalog_is_passed_over(
    pair: Pair, tmp_path: Path, encoder: Encoder
) -> None:
    """It answers 401 to everything: each search goes on to the right one, and /readyz says so."""
    with (
        open_stack(tmp_path / "other", encoder) as other,
        serving(other.worker_app) as pair.urls[1],
        pair.api() as api,
    ):
        for number in range(6):
            assert api.post(SEARCH, json={"text": f"red {number}"}).status_code == 200
        ready = api.get("/readyz")
        assert ready.status_code == 200
        assert "only callers that share its catalog" in ready.json()["checks"]["worker"]["detail"]


@pytest.fixture
def unlike(
    pair: Pair, encoder: Encoder, checkpoint: Path, tmp_path: Path
) -> Iterator[tuple[TestClient, Stack, Encoder]]:
    """An API with two workers of one catalog, the second of which has another model."""
    folder = tmp_path / "other model"
    shutil.copytree(checkpoint, folder)
    model = XCLIPModel.from_pretrained(str(folder))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    save_model(model, folder)
    other = load_encoder(str(folder), device="cpu", num_threads=1)
    assert other.fingerprint != encoder.fingerprint
    with (
        open_stack(tmp_path, other) as stack,
        serving(stack.worker_app) as pair.urls[1],
        pair.api() as api,
    ):
        yield api, stack, other


def test_calls_of_a_collection_go_to_the_workers_with_its_model(
    unlike: tuple[TestClient, Stack, Encoder], encoder: Encoder, make_clip: MakeClip
) -> None:
    """Never 409 while one has it; the collection has the name of the model that filled it."""
    api, stack, other = unlike
    stack.ingest(make_clip(seconds=2.0))
    assert api.get("/v1/collections/default").json()["model"] == other.name
    for number in range(6):
        found = api.post(SEARCH, json={"text": f"red {number}"})
        assert found.status_code == 200, found.text
        assert found.json()["results"]
        labelled = api.post(CLASSIFY, json={"labels": ["red", f"blue {number}"]})
        assert labelled.status_code == 200, labelled.text
    detail = api.get("/readyz").json()["checks"]["worker"]["detail"]
    assert "the workers' models differ" in detail
    assert encoder.fingerprint in detail
    assert other.fingerprint in detail


def test_an_answer_names_the_model_that_gave_it(
    unlike: tuple[TestClient, Stack, Encoder], encoder: Encoder, make_clip: MakeClip
) -> None:
    """Vectors of one name are of one space; labels of an upload name the answering model."""
    api, _, other = unlike
    models = [item["name"] for item in api.get("/v1/models").json()["items"]]
    assert models == [encoder.name, other.name]
    for each in (encoder, other):
        expected = each.encode_text(["red"])[0]
        expected /= np.linalg.norm(expected)
        for _ in range(3):
            body = {"input": "red", "model": each.name}
            answer = api.post("/v1/embeddings", json=body).json()
            np.testing.assert_allclose(answer["data"][0]["embedding"], expected, atol=1e-5)
    clip = make_clip(seconds=1.0).read_bytes()
    named: dict[str, list[dict[str, float]]] = {}
    for _ in range(4):
        labels = api.post(
            "/v1/classify",
            files={"file": ("a.mp4", clip)},
            data={"labels": json.dumps(["red", "blue"])},
        )
        assert labels.status_code == 200, labels.text
        named.setdefault(labels.json()["model"], []).append(labels.json()["scores"])
    assert named.keys() == {encoder.name, other.name}
    assert all(one == pytest.approx(other) for one, other in named.values())


def test_a_collection_whose_model_nobody_has_is_a_mismatch(pair: Pair, make_clip: MakeClip) -> None:
    """All workers answer and none has it: 409; while the one that may have it is away, 503."""
    pair.stack.ingest(make_clip(seconds=1.0))
    client = WorkerClient(*pair.urls, secret=pair.secret)
    with pytest.raises(WorkerFailed) as failure:
        client.score(["red"], [], fingerprint="f00d")
    assert failure.value.code == "model_mismatch"
    assert client.encode_text(["red"], fingerprint="f00d").fingerprint != "f00d"
    nobody = base_url("127.0.0.1", free_port())
    partly = WorkerClient(pair.urls[0], nobody, secret=pair.secret)
    with pytest.raises(WorkerUnavailable):
        partly.score(["red"], [], fingerprint="f00d")
    client.close()
    partly.close()


def test_two_kinds_of_calls_by_turns_are_shared_alike() -> None:
    """A search embeds, then scores: neither worker is left with all of the scoring."""
    wire = Wire(None)
    client = client_of(wire, [0.0])
    for _ in range(2):
        client.encode_text(["red"])
        client.score(["red"], [], fingerprint="f")
    assert wire.asked == ["a", "a", "b", "b"]


class Wire:
    """Workers by name; all but `b` are as the test says, `b` has no fault."""

    def __init__(self, broken: Exception | int | bytes | None) -> None:
        self.broken = broken
        self.asked: list[str] = []
        self.limits: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        self.limits.append(request.extensions["timeout"]["read"])
        if request.url.host == "b" or self.broken is None:
            return httpx.Response(200, content=ANSWER, headers=HEADERS)
        if isinstance(self.broken, bytes):
            return httpx.Response(200, content=self.broken)
        if isinstance(self.broken, int):
            return httpx.Response(self.broken, json={"code": "x", "message": "no"})
        raise self.broken


HEADERS = {FINGERPRINT_HEADER: "f", MODEL_NAME_HEADER: "m", SCORE_KIND_HEADER: "logit"}
ANSWER = save(
    {
        **{name: np.ones((1, 2), np.float32) for name in ("embeddings", "logits")},
        **{name: np.zeros(1, np.int64) for name in ("tokens", "truncated", "same_as")},
    }
)


def client_of(wire: Wire, now: list[float], *names: str) -> WorkerClient:
    transport = httpx.MockTransport(wire)
    urls = [f"http://{name}" for name in names or ("a", "b")]
    return WorkerClient(*urls, secret=b"any", transport=transport, clock=lambda: now[0])


TROUBLES = [
    503,
    500,
    401,
    404,
    b"<html>",
    httpx.ReadTimeout("silent"),
    httpx.ConnectError("refused"),
    httpx.RemoteProtocolError("gone"),
]


@pytest.mark.parametrize("broken", TROUBLES, ids=repr)
def test_a_worker_in_trouble_is_avoided_for_a_while_and_then_tried_again(
    broken: Exception | int | bytes,
) -> None:
    """Only the first call pays for finding out; a worker that is back gets its share."""
    wire, now = Wire(broken), [0.0]
    client = client_of(wire, now)
    for _ in range(4):
        client.encode_text(["red"])
    assert wire.asked == ["a", "b", "b", "b", "b"]
    wire.broken, now[0] = None, FIRST_PAUSE_S + 1
    del wire.asked[:]
    for number in range(8):
        with suppress(WorkerFailed):  # /model, which the wire does not know
            client.encode_text([f"red {number}"])
    assert "a" in wire.asked


@pytest.mark.parametrize("broken", TROUBLES, ids=repr)
def test_every_worker_is_tried_before_a_call_fails(broken: Exception | int | bytes) -> None:
    """Whichever of four has its turn, the one that works answers."""
    for turn in range(4):
        wire = Wire(broken)
        client = client_of(wire, [0.0], *["acbd"[(turn + n) % 4] for n in range(4)])
        assert client.encode_text(["red"]).fingerprint == "f"
        assert len(wire.asked) == len(set(wire.asked))


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_a_refusal_of_the_request_is_the_answer(status: int) -> None:
    """No other worker would say otherwise."""
    wire = Wire(status)
    with pytest.raises(WorkerFailed):
        client_of(wire, [0.0]).encode_text(["red"])
    assert wire.asked == ["a"]


def test_a_worker_has_all_of_the_time_only_while_no_other_is_left() -> None:
    """The first has a search's usual time, with a margin; the last what remains of the call's."""
    wire = Wire(None)
    client = client_of(wire, [0.0])
    client.encode_text(["red"])
    client.encode_text([f"red {number}" for number in range(64)])
    client.encode_text([f"red {number}" for number in range(1000)])
    assert wire.limits == [FIRST_ANSWER_S, 2 * FIRST_ANSWER_S, MODEL_TIMEOUT_S]
    wire = Wire(httpx.ReadTimeout("silent"))
    client_of(wire, [0.0]).encode_text(["red"])
    assert wire.limits == [FIRST_ANSWER_S, MODEL_TIMEOUT_S]
    wire = Wire(None)
    client_of(wire, [0.0], "b").encode_text(["red"])
    assert wire.limits == [MODEL_TIMEOUT_S]


@pytest.mark.parametrize(
    ("broken", "error"),
    [(httpx.ReadTimeout("silent"), WorkerTimedOut), (500, WorkerFailed)],
    ids=repr,
)
def test_what_may_have_begun_to_write_a_file_is_not_repeated(
    broken: Exception | int, error: type[Exception]
) -> None:
    """Two workers must not write one file; the first one's fate is the call's."""
    wire = Wire(broken)
    failover = Failover(client_of(wire, [0.0]).endpoints, clock=lambda: 0.0)
    with pytest.raises(error):
        failover.ask(
            WorkerCall("/cut", b"", 1.0, read=httpx.Response.read, size=1.0, repeatable=False)
        )
    assert wire.asked == ["a"]
