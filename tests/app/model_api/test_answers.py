"""Answers of the model API: what is no whole answer of a worker is told as such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerFailed
from app.model_api.messages import FINGERPRINT_HEADER, MODEL_NAME_HEADER, SCORE_KIND_HEADER

ROWS = np.ones((1, 2), np.float32)
HEADERS = {FINGERPRINT_HEADER: "f", MODEL_NAME_HEADER: "tiny", SCORE_KIND_HEADER: "logit"}
# Each call, and the arrays without which its answer is none.
CALLS: dict[str, tuple[Callable[[WorkerClient], Any], tuple[str, ...]]] = {
    "encode_text": (
        lambda worker: worker.encode_text(["a"]),
        ("embeddings", "tokens", "truncated", "same_as"),
    ),
    "read_texts": (lambda worker: worker.read_texts(["a"]), ("tokens", "truncated", "same_as")),
    "score": (lambda worker: worker.score(["a"], [], fingerprint="f"), ("logits",)),
    "embed_clip": (
        lambda worker: worker.embed_clip("n", window_s=1, stride_s=1, timeout_s=1),
        ("embeddings",),
    ),
    "score_clip": (
        lambda worker: worker.score_clip("n", ["a"], window_s=1, stride_s=1, timeout_s=1),
        ("starts", "ends", "duration_s", "logits"),
    ),
}


def client_of(body: bytes, headers: dict[str, str]) -> WorkerClient:
    """A client whose one worker answers every call so."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers=headers))
    return WorkerClient("http://worker", secret=b"any", transport=transport)


def body_of(*names: str) -> bytes:
    return save({name: ROWS[0] if name == "duration_s" else ROWS for name in names})


@pytest.mark.parametrize("call", list(CALLS))
def test_a_whole_answer_is_read_and_one_with_anything_missing_is_not(call: str) -> None:
    """A worker of another version is told by WorkerFailed, whichever array or header it lacks."""
    ask, names = CALLS[call]
    ask(client_of(body_of(*names), HEADERS))
    broken = [
        *((body_of("other", *set(names) - {name}), HEADERS) for name in names),
        *((body_of(*names), {name: HEADERS[name]}) for name in HEADERS),
    ]
    for body, headers in broken:
        with pytest.raises(WorkerFailed, match="not a worker of this version") as raised:
            ask(client_of(body, headers))
        assert (raised.value.code, raised.value.status) == ("worker_failed", 502)


@pytest.mark.parametrize("call", list(CALLS))
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"\xff" * 64, body_of("logits")[:-1]])
def test_what_is_no_safetensors_is_told_as_such(call: str, body: bytes) -> None:
    """A proxy's page, or an answer cut short, has no arrays."""
    with pytest.raises(WorkerFailed, match="not a worker of this version"):
        CALLS[call][0](client_of(body, HEADERS))
