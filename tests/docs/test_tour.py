"""docs/api-tour.md as a newcomer follows it: every command run, every answer of the shape shown.

The same service then shows what docs/operations.md says of its log and its metrics.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.e2e.service import Service, running
from xclip.motion.clips import write_clip
from xclip.motion.world import Subject, sample_scene

TOUR = (Path(__file__).parents[2] / "docs" / "api-tour.md").read_text()
EVENTS = (Subject("red", "circle", "left"), Subject("blue", "square", "grow"))
_BLOCK = re.compile(r"^```(bash|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BREAK = "-- end of block --"

pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq"
)


@dataclass(frozen=True)
class Step:
    """One block of commands, what it printed, and what the page says that it prints."""

    commands: str
    printed: str
    shown: Any


@dataclass(frozen=True)
class Tour:
    service: Service
    run: subprocess.CompletedProcess[str]
    steps: list[Step]


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    """The whole page, run in one shell beside a file match.mp4."""
    folder = tmp_path_factory.mktemp("tour")
    random = np.random.default_rng(5)
    scenes = [(sample_scene(event, random), 5.0) for event in EVENTS]
    write_clip(folder / "match.mp4", scenes, 160, 120, 24, random)
    blocks = _BLOCK.findall(TOUR)
    commands = [text for kind, text in blocks if kind == "bash"]
    with running(folder / "data", XCLIP_LOG_FORMAT="json") as service:
        script = f"\necho; echo '{_BREAK}'\n".join(commands)
        script = script.replace("http://127.0.0.1:8000", service.url)
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        printed = run.stdout.split(_BREAK)
        yield Tour(service, run, _steps(blocks, printed))


def _steps(blocks: list[tuple[str, str]], printed: list[str]) -> list[Step]:
    steps: list[Step] = []
    for kind, text in blocks:
        if kind == "bash":
            output = printed[len(steps)] if len(steps) < len(printed) else ""
            steps.append(Step(text, output, None))
        else:
            steps[-1] = Step(steps[-1].commands, steps[-1].printed, json.loads(text))
    return steps


def misfits(shown: Any, found: Any, path: str = "$") -> list[str]:
    """Where an answer does not have what the page shows, by name and type; it may have more."""
    if isinstance(shown, dict) and isinstance(found, dict):
        return [
            misfit
            for name, value in shown.items()
            for misfit in (
                misfits(value, found[name], f"{path}.{name}")
                if name in found
                else [f"{path}.{name} is missing"]
            )
        ]
    if isinstance(shown, list) and isinstance(found, list):
        if not shown or not found:
            return [] if bool(shown) == bool(found) else [f"{path}: {len(found)} items"]
        return misfits(shown[0], found[0], f"{path}[0]")
    if isinstance(shown, bool | str) and isinstance(found, type(shown)):
        told = isinstance(shown, bool) or "…" not in shown
        if told and path.rsplit(".", 1)[-1] not in _VARYING and shown != found:
            return [f"{path}: {found!r} instead of {shown!r}"]
        return []
    number = (int, float)
    if isinstance(shown, number) and isinstance(found, number):
        return []
    return [] if shown is None and found is None else [f"{path}: {found!r} is of another type"]


_VARYING = frozenset({"detail", "searchable_at", "label"})


def test_every_command_of_the_tour_succeeds(tour: Tour) -> None:
    """`--fail` makes curl fail with the request, and the first failure ends the tour."""
    assert tour.run.returncode == 0, f"{tour.run.stdout[-2000:]}\n{tour.run.stderr}"
    assert len([step for step in tour.steps if step.shown]) >= 9


def test_every_answer_has_what_the_tour_shows_of_it(tour: Tour) -> None:
    """Names, types and words; numbers and ids are examples."""
    wrong = {}
    for step in tour.steps:
        if step.shown is not None and (found := misfits(step.shown, json.loads(step.printed))):
            wrong[step.commands] = found
    assert wrong == {}


def lines(tour: Tour) -> list[dict[str, Any]]:
    """What the service has logged; `serve` also says to its user, on stdout, that it is ready."""
    written = tour.service.log.read_text().splitlines()
    return [json.loads(line) for line in written if not line.startswith("X-CLIP Search is ready")]


def test_a_request_can_be_followed_from_the_api_to_the_worker(tour: Tour) -> None:
    """Every line of the log is an object, and both processes name the request by the same id."""
    with tour.service.client() as client:
        question = {"text": "a ring nobody has asked for yet"}
        headers = {"x-request-id": "follow-me"}
        client.post("/v1/collections/default/search", json=question, headers=headers)
        client.get("/livez")
    followed = [line for line in lines(tour) if line.get("request_id") == "follow-me"]
    assert {"app.requests", "app.worker.calls"} <= {line["logger"] for line in followed}
    assert len({line["pid"] for line in followed}) == 2
    assert next(line["route"] for line in followed if line["logger"] == "app.requests").endswith(
        "/search"
    )


def test_a_job_can_be_followed_from_the_upload_to_the_decoder(tour: Tour) -> None:
    """The request that brought the video names the job; the worker's lines carry its id."""
    job_id = next(
        json.loads(step.printed)["job"]["id"] for step in tour.steps if "uploaded" in step.commands
    )
    of_job = [line for line in lines(tour) if line.get("job_id") == job_id]
    assert {"app.worker.job_runner", "app.worker.decoding"} <= {line["logger"] for line in of_job}
    queued = [line for line in of_job if line["logger"] == "app.services.ingest.ingest"]
    assert queued
    assert queued[0]["request_id"].startswith("req_")


def test_metrics_tell_of_the_tour_in_both_processes(tour: Tour) -> None:
    """One address has the API's and the worker's figures."""
    text = httpx.get(f"{tour.service.url}/metrics", timeout=300).text
    for line in (
        "xclip_worker_up 1.0",
        'xclip_jobs{status="queued"} 0.0',
        'xclip_ingest_seconds_count{outcome="succeeded"} 1.0',
        'xclip_ingest_stage_seconds_count{stage="encode"} 1.0',
        "xclip_ingested_video_seconds_total 10.0",
        'xclip_lane_requests{lane="query",state="working"} 0.0',
    ):
        assert line in text.splitlines(), line
