"""The whole service in one process: real catalog, files, model, worker app and ingest pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.catalog import Catalog
from app.clock import Clock, SystemClock
from app.main import create_app
from app.model_api.client import WorkerClient
from app.model_api.secret import SECRET
from app.model_api.tensor_records import stack_records
from app.settings import Settings
from app.storage.composition import Storage
from app.storage.media_store import MediaStore
from app.worker.composition import open_worker
from app.worker.job_runner import JobRunner
from index.protocol import TensorStore
from tests.app.conftest import write_clip
from xclip import scoring
from xclip.encoder import Encoder
from xclip.model import XCLIPModel

# Letters: K segments, N texts, D width.

VIDEOS = "/v1/collections/default/videos"
SEARCH = "/v1/collections/default/search"
CLASSIFY = "/v1/collections/default/classify"
HERE = "http://127.0.0.1"  # a service without keys answers to no other name


class AppTransport(httpx.BaseTransport):
    """Carries the worker client's requests to the worker's application, without a socket."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self.reachable = True
        self.requests: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request; refuses the connection while not `reachable`."""
        if not self.reachable:
            raise httpx.ConnectError("connection refused", request=request)
        self.requests.append(request.url.path)
        answer = self._client.request(
            request.method, request.url.path, content=request.read(), headers=request.headers
        )
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@dataclass(frozen=True)
class Stack:
    """A running service: `api` speaks HTTP to it, `puller` does its jobs when told."""

    api: TestClient
    worker: AppTransport
    worker_app: Starlette
    puller: JobRunner
    catalog: Catalog
    storage: Storage
    settings: Settings

    @property
    def tensors(self) -> TensorStore:
        return self.storage.tensors

    @property
    def media(self) -> MediaStore:
        return self.storage.media

    def upload(self, path: Path, url: str = VIDEOS, **fields: str) -> dict[str, Any]:
        """Upload a file; returns the answer's body."""
        answer = self.api.post(url, files={"file": (path.name, path.read_bytes())}, data=fields)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    def ingest(self, path: Path, url: str = VIDEOS, **fields: str) -> dict[str, Any]:
        """Upload a file and see its job through; returns the video."""
        uploaded = self.upload(path, url, **fields)
        while self.puller.run_one():
            pass
        return self.api.get(f"{url}/{uploaded['video']['id']}").json()


@contextmanager
def open_stack(
    folder: Path, encoder: Encoder, *, clock: Clock | None = None, **choices: Any
) -> Iterator[Stack]:
    """The service over `folder`; `clock` is everybody's, `choices` are settings."""
    clock = clock or SystemClock()
    values = {"window_s": 1.0, "stride_s": 0.5, "model": encoder.name, "threads": 1, **choices}
    settings = Settings(data_dir=folder, **values)
    with ExitStack() as stack:
        parts = stack.enter_context(open_worker(settings, encoder, clock))
        catalog = parts.catalog
        worker = AppTransport(stack.enter_context(TestClient(parts.app)))
        client = WorkerClient("http://worker", secret=catalog.secret(SECRET), transport=worker)
        app = create_app(settings, worker=client, clock=clock)
        api = stack.enter_context(TestClient(app, HERE, raise_server_exceptions=False))
        yield Stack(api, worker, parts.app, parts.runner, catalog, parts.storage, settings)


@pytest.fixture
def stack(tmp_path: Path, encoder: Encoder) -> Iterator[Stack]:
    """A service with nothing in it."""
    with open_stack(tmp_path / "data", encoder) as opened:
        yield opened


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Stack]:
    """A service with four ingested clips of 1 to 4 seconds; not to be changed."""
    folder = tmp_path_factory.mktemp("library")
    with open_stack(folder / "data", encoder) as opened:
        for seed in range(4):
            clip = write_clip(folder / f"clip {seed}.mp4", seconds=1.0 + seed, seed=seed)
            metadata = f'{{"seed": {seed}, "odd": {str(seed % 2 == 1).lower()}}}'
            video = opened.ingest(clip, metadata=metadata)
            assert video["status"] == "ready", video
        yield opened


@dataclass(frozen=True)
class Stored:
    """Everything a collection keeps of its segments, read past the service.

    proxies : plain inner products of unit vectors, shape = (K, N)
    logits : the model's own scores, shape = (K, N), by the library's scoring alone
    """

    segment_ids: list[str]
    proxies: np.ndarray
    logits: np.ndarray


def score_everything(stack: Stack, encoder: Encoder, texts: list[str]) -> Stored:
    """The oracle: every stored segment of the default collection against every text."""
    videos = stack.catalog.list_videos("default", limit=200).items
    segments = [
        segment for video in videos for segment in stack.catalog.list_segments("default", video.id)
    ]
    stored = stack_records(stack.tensors.read([segment.tensor for segment in segments]))
    embeddings = encoder.encode_text(texts)
    logits = scoring.score(
        XCLIPModel.from_pretrained(encoder.name),
        torch.from_numpy(embeddings),
        scoring.StoredVideos(
            torch.from_numpy(stored.embedding), torch.from_numpy(stored.arrays["prompt"]).float()
        ),
    )
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Stored(
        [segment.id for segment in segments],
        stored.embedding @ directions.T,
        logits.detach().numpy(),
    )


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The one shape of every refusal; returns its body."""
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), answer.text
    body = answer.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body)
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == answer.headers["x-request-id"]
    return body
