"""The worker as a process of its own, beside an API that knows no more than its address."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings, load_settings
from app.worker.job_runner import POLL_S
from tests.app.stack import HERE, VIDEOS

from .conftest import eventually, free_port

ROOT = Path(__file__).parents[3]
START_S = 300.0


def ready(url: str) -> bool:
    """Whether the worker says that its model runs."""
    try:
        return httpx.get(f"{url}/readyz", timeout=120, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_a_worker_for_queries_alone_answers_and_leaves_the_jobs(
    tmp_path: Path, checkpoint: Path, make_clip: object
) -> None:
    """With XCLIP_MAX_INGESTS=0 uploads are accepted and stay queued while texts are embedded."""
    environ = {
        "XCLIP_DATA_DIR": str(tmp_path / "data"),
        "XCLIP_MODEL": str(checkpoint),
        "XCLIP_WORKER_PORT": str(free_port()),
        "XCLIP_THREADS": "1",
        "XCLIP_MAX_INGESTS": "0",
    }
    settings = load_settings(environ)
    clip: Path = make_clip(seconds=1.0)  # type: ignore[operator]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("XCLIP_")}
    command = [sys.executable, "-m", "app.cli.main", "worker"]
    process = subprocess.Popen(command, cwd=ROOT, env=inherited | environ)
    try:
        assert eventually(lambda: ready(settings.worker_base_urls[0]), within_s=START_S)
        with TestClient(create_app(settings), HERE) as api:
            answer = api.post(VIDEOS, files={"file": (clip.name, clip.read_bytes())})
            assert answer.status_code == 202
            embedded = api.post(
                "/v1/embeddings", json={"model": settings.model, "input": "a red square"}
            )
            assert embedded.status_code == 200, embedded.text
            time.sleep(3 * POLL_S)
            assert api.get(f"/v1/jobs/{answer.json()['job']['id']}").json()["status"] == "queued"
    finally:
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.parametrize(("jobs", "expected"), [(0, 0), (3, 3)])
def test_the_number_of_ingests_is_the_one_that_is_set(jobs: int, expected: int) -> None:
    """Zero is a number like any other, not "not set"."""
    assert Settings(max_ingests=jobs).ingests_at_once == expected
