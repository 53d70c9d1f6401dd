"""The running service against its own OpenAPI document, by schemathesis: it never breaks its word.

Generated requests, well-formed and not, to every operation: no 5xx, no status, type or body that
the document does not name, no method that it does not, no door that opens without a key.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.conftest import write_clip
from tests.e2e.service import Service, running, upload, wait_for_job

ROOT = Path(__file__).parents[2]
EXAMPLES = int(os.environ.get("XCLIP_TEST_OPENAPI_EXAMPLES", "4"))

# Not asked: that whatever fits the schema is accepted. A cursor that nobody gave out, a filter of
# an unknown operator, a stride longer than its window, a text of spaces fit it and are refused.
NOT_ASKED = "positive_data_acceptance"

# 412 is what tus wants said first, to whoever does not speak its version.
REFUSALS = "[400, 401, 403, 404, 406, 409, 412, 415, 422, 429, 503]"
COMMON = f"""
hooks = "{Path(__file__).with_name("schemathesis_hooks.py")}"
request-timeout = 60
max-stream-events = 3
[checks]
negative_data_rejection.expected-statuses = {REFUSALS}
missing_required_header.expected-statuses = {REFUSALS}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one video, before it has keys.

    Wrong keys are sent to every operation within a few seconds, from one address: that the service
    answers 429 to so many is another test's matter.
    """
    folder = tmp_path_factory.mktemp("openapi")
    settings = {"XCLIP_MIN_FREE_BYTES": "1", "XCLIP_WRONG_KEYS_PER_MINUTE": "1000000"}
    with running(folder / "data", **settings) as started:
        yield started


@pytest.fixture(scope="module")
def configuration(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key of every scope, and the names of things that exist, so that not all answers are 404."""
    folder = tmp_path_factory.mktemp("schemathesis")
    clip = write_clip(folder / "clip.mp4", seconds=2)
    with service.client() as client:
        answer = upload(client, clip).json()
        wait_for_job(client, answer["job"]["id"])
    file = folder / "schemathesis.toml"
    file.write_text(
        f'headers = {{ Authorization = "Bearer {service.create_key("admin")}" }}\n'
        + COMMON
        + f"""
[parameters]
"path.collection" = "default"
"path.video_id" = "{answer["video"]["id"]}"
"path.job_id" = "{answer["job"]["id"]}"
"""
    )
    return file


def run_schemathesis(service: Service, *choices: str) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), *choices[:2], "run"]
    fixed = ["--checks", "all", "--exclude-checks", NOT_ASKED, "--phases", "coverage,fuzzing"]
    fixed += ["--continue-on-failure", "--no-shrink", "--max-examples", str(EXAMPLES)]
    command += [f"{service.url}/openapi.json", *fixed, *choices[2:]]
    # it keeps examples it has found in the folder it runs in
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=800, cwd=service.data.parent
    )
    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-2_000:]


def test_strange_names_never_surprise_it(service: Service, configuration: Path) -> None:
    """Collections, videos and jobs that nobody made, with a key that may do anything."""
    key = configuration.read_text().split('"')[1]
    neutral = configuration.with_name("neutral.toml")
    neutral.write_text(COMMON)
    chosen = ["--config-file", str(neutral), "--seed", "1", "--header", f"Authorization:{key}"]
    run_schemathesis(service, *chosen)


def test_things_that_exist_are_served_as_the_document_says(
    service: Service, configuration: Path
) -> None:
    """The same, reaching further in: what exists is read, changed, searched and deleted."""
    run_schemathesis(service, "--config-file", str(configuration), "--seed", "2")


def test_the_service_is_whole_afterwards(service: Service) -> None:
    """After thousands of strange requests it is ready, and its log holds no traceback."""
    with service.client() as client:
        assert client.get("/readyz").is_success
    assert "Traceback" not in service.log.read_text()
