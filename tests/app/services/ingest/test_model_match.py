"""A worker whose model did not build the library: nothing is taken in that could only fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.app.conftest import MakeClip
from tests.app.stack import VIDEOS, assert_problem, open_stack
from xclip.encoder import Encoder
from xclip.encoders import load_encoder

TUS = {"tus-resumable": "1.0.0", "upload-length": "10"}


@pytest.fixture
def damaged(encoder: Encoder, tmp_path: Path) -> Encoder:
    """The same checkpoint with one flipped bit in a weight."""
    folder = shutil.copytree(encoder.name, tmp_path / "damaged")
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    return load_encoder(str(folder), device="cpu", num_threads=1)


def test_a_library_of_another_model_takes_no_videos_and_is_not_ready(
    tmp_path: Path, encoder: Encoder, damaged: Encoder, make_clip: MakeClip
):
    """By a form or in chunks; an empty collection takes them, and with the model all is well."""
    with open_stack(tmp_path / "data", encoder) as stack:
        stack.ingest(make_clip("a.mp4", seconds=1))
        assert stack.api.get("/readyz").status_code == 200
    with open_stack(tmp_path / "data", damaged) as stack:
        file = {"file": ("b.mp4", make_clip("b.mp4", seconds=2).read_bytes())}
        refused = assert_problem(stack.api.post(VIDEOS, files=file), 409, "model_mismatch")
        assert damaged.fingerprint in refused["detail"]
        chunked = stack.api.post("/v1/collections/default/uploads", headers=TUS)
        assert_problem(chunked, 409, "model_mismatch")
        assert stack.api.get("/v1/jobs").json()["items"][1:] == []
        probe = stack.api.get("/readyz")
        assert (probe.status_code, probe.json()["checks"]["worker"]["ok"]) == (503, False)
        assert "default" in probe.json()["checks"]["worker"]["detail"]
        stack.api.put("/v1/collections/new", json={}).raise_for_status()
        assert stack.ingest(make_clip("b.mp4", seconds=2), "/v1/collections/new/videos")
        probe = stack.api.get("/readyz")
        assert probe.status_code == 200, "some collections work"
        assert "default" in probe.json()["checks"]["worker"]["detail"]
    with open_stack(tmp_path / "data", encoder) as stack:
        assert stack.ingest(make_clip("c.mp4", seconds=1, seed=3))["status"] == "ready"


def test_while_no_worker_answers_videos_are_taken(
    tmp_path: Path, encoder: Encoder, make_clip: MakeClip
):
    """Their jobs wait for one."""
    with open_stack(tmp_path / "data", encoder) as stack:
        stack.ingest(make_clip("a.mp4", seconds=1))
        stack.worker.reachable = False
        stack.upload(make_clip("b.mp4", seconds=2))
