"""Work that is refused memory, of the GPU or of the worker: its job waits, its call gets 503."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.worker.job_runner import JobRunner
from app.worker.memory_shortage import memory_shortage
from tests.app.stack import SEARCH, open_stack
from xclip.encoder import Encoder

from .conftest import Parts

MakeClip = Callable[..., Path]

REFUSED: dict[str, tuple[Exception, str, str]] = {
    "gpu": (torch.OutOfMemoryError("CUDA out of memory."), "gpu_oom", "XCLIP_MODEL"),
    "cublas": (
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        "gpu_oom",
        "XCLIP_DEVICE",
    ),
    "cpu": (MemoryError(), "out_of_memory", "XCLIP_MAX_INGESTS"),
    "torch": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        "out_of_memory",
        "XCLIP_MAX_INGESTS",
    ),
}


class FullEncoder:
    """The encoder, which is refused memory for all that it computes while `full` is an error."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.full: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        if self.full is not None and name in ("encode_text", "encode_video", "score"):
            return self._refuse
        return getattr(self._encoder, name)

    def _refuse(self, *_: object) -> None:
        assert self.full is not None
        raise self.full


def puller_of(parts: Parts) -> tuple[JobRunner, FullEncoder]:
    """A puller and its encoder, which has memory so far: it encodes its bank at once."""
    encoder = FullEncoder(parts.encoder)
    return replace(parts, encoder=encoder).puller(), encoder


@pytest.mark.parametrize("kind", REFUSED)
def test_a_job_that_is_refused_memory_waits_and_says_what_to_lower(
    parts: Parts, make_clip: MakeClip, kind: str
) -> None:
    """It is queued again under the code of the memory, and succeeds once there is some."""
    error, code, setting = REFUSED[kind]
    puller, encoder = puller_of(parts)
    encoder.full = error
    job = parts.upload(make_clip(seconds=2))
    assert puller.run_one()
    waiting = parts.catalog.get_job(job.id)
    assert (waiting.status, waiting.error_code) == ("queued", code)
    assert setting in (waiting.error_message or "")
    encoder.full = None
    parts.catalog.retry_job(job.id)
    assert puller.run_one()
    assert parts.catalog.get_job(job.id).status == "succeeded"


def test_a_full_gpu_leaves_a_job_more_attempts_than_its_own_failures(
    parts: Parts, make_clip: MakeClip
) -> None:
    """Segments are all of one size, so no video can be what fills it."""
    puller, encoder = puller_of(parts)
    encoder.full = REFUSED["gpu"][0]
    job = parts.upload(make_clip(seconds=1))
    for _ in range(5):
        parts.catalog.retry_job(job.id)
        assert puller.run_one()
    assert parts.catalog.get_job(job.id).status == "queued"


def test_calls_that_are_refused_memory_are_503_with_its_code(
    tmp_path: Path, encoder: Encoder, make_clip: MakeClip
) -> None:
    """A search and the classification of a clip say so, with Retry-After, until there is some."""
    full = FullEncoder(encoder)
    with open_stack(tmp_path / "data", full) as stack:
        clip = {"file": ("a.mp4", make_clip(seconds=1).read_bytes())}
        labels = {"labels": '["a", "b"]'}
        for error, code, setting in REFUSED.values():
            full.full = error
            for answer in (
                stack.api.post(SEARCH, json={"text": "red"}),
                stack.api.post("/v1/classify", files=clip, data=labels),
            ):
                problem = answer.json()
                assert (answer.status_code, problem["code"]) == (503, code), problem
                assert setting in problem["detail"]
                assert int(answer.headers["retry-after"]) > 0
        full.full = None
        assert stack.api.post(SEARCH, json={"text": "red"}).status_code == 200


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError(2, "No such file")])
def test_other_errors_are_no_shortage(error: Exception) -> None:
    """A RuntimeError or an OSError is one only by what it says."""
    assert memory_shortage(error) is None
    assert memory_shortage(OSError(12, "Cannot allocate memory")) is not None
