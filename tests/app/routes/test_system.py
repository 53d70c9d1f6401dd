"""Probes, metrics, model facts, the page and the OpenAPI document."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from app.routes.page import WEB_FOLDER
from tests.app.conftest import write_clip
from tests.app.stack import SEARCH, Stack, assert_problem
from xclip.encoder import Encoder


def test_ready_names_every_dependency(stack: Stack):
    """200 when catalog, worker and disk work."""
    answer = stack.api.get("/readyz")
    checks = answer.json()["checks"]
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert {name: check["ok"] for name, check in checks.items()} == {
        "catalog": True,
        "worker": True,
        "disk": True,
    }


def test_not_ready_names_what_is_away(stack: Stack):
    """Without the worker it is 503, and alive all the same."""
    stack.worker.reachable = False
    answer = stack.api.get("/readyz")
    checks = answer.json()["checks"]
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert [name for name, check in checks.items() if not check["ok"]] == ["worker"]
    assert stack.api.get("/livez").json() == {"alive": True}


def test_not_ready_when_the_catalog_is_gone(stack: Stack):
    """A database that cannot be opened is named, without its address."""
    stack.api.app_state["parts"].catalog.close()
    path = stack.settings.data_dir / "catalog.sqlite"
    while not path.is_dir():
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        with suppress(FileExistsError):  # a chore of the service's may have opened a new one
            path.mkdir()
    answer = stack.api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["catalog"]["ok"] is False
    assert str(path) not in answer.text
    listed = stack.api.get("/v1/collections")
    assert_problem(listed, 503, "catalog_unavailable")


def test_probes_answer_while_every_thread_waits(stack: Stack):
    """Sixty uploads, of which some wait for a lock and some for a place: probes need neither."""
    files = {"file": ("a.mp4", b"x" * 100)}
    with ThreadPoolExecutor(60) as pool:
        with stack.media.exclusive():
            waiting = [
                pool.submit(stack.api.post, "/v1/collections/default/videos", files=files)
                for _ in range(60)
            ]
            assert stack.api.get("/livez").status_code == 200
            assert stack.api.get("/readyz").status_code == 200
            assert {request.result().status_code for request in waiting if request.done()} <= {503}
        statuses = {request.result().status_code for request in waiting}
        assert {202} <= statuses <= {200, 202, 503}


def test_metrics_count_requests_uploads_and_search_stages(stack: Stack):
    """Prometheus text with what happened so far."""
    stack.api.post(SEARCH, json={"text": "red"})
    files = {"file": ("a.mp4", b"x" * 100)}
    stack.api.post("/v1/collections/default/videos", files=files)
    answer = stack.api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    route = 'route="/v1/collections/{collection}/search"'
    assert f'xclip_http_requests_total{{method="POST",{route},status="200"}} 1.0' in lines
    assert "xclip_upload_bytes_total 100.0" in lines
    for stage in ("encode", "filter", "recall", "score", "total"):
        assert f'xclip_search_seconds_count{{stage="{stage}"}} 1.0' in lines


def test_models_tells_the_workers_facts_and_queue(stack: Stack, encoder: Encoder, tmp_path: Path):
    """What answers is what was loaded, and how much is in line for it is how it is now."""
    (model,) = stack.api.get("/v1/models").json()["items"]
    assert (model["name"], model["fingerprint"]) == (encoder.name, encoder.fingerprint)
    assert (model["num_frames"], model["image_size"], model["dim"]) == (4, 32, 16)
    assert tuple(model["prompt_shape"]) == encoder.stored_arrays["prompt"]
    assert model["queue"] == {
        "jobs_queued": 0,
        "jobs_running": 0,
        "seconds_per_job": None,
        "wait_seconds": 0.0,
        "calls_waiting": 0,
    }
    stack.upload(write_clip(tmp_path / "a.mp4", seconds=1.0))
    assert stack.api.get("/v1/models").json()["items"][0]["queue"]["jobs_queued"] == 1
    stack.worker.reachable = False
    assert_problem(stack.api.get("/v1/models"), 503, "worker_unavailable")


def test_the_page_and_its_files_are_served(stack: Stack):
    """`/` is the page, `/static` its folder and nothing above it."""
    page = stack.api.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for path in filter(Path.is_file, WEB_FOLDER.rglob("*")):
        answer = stack.api.get(f"/static/{path.relative_to(WEB_FOLDER)}")
        assert answer.content == path.read_bytes()
    for path in ("none.js", "..%2fmain.py", "%2e%2e/main.py", ""):
        assert_problem(stack.api.get(f"/static/{path}"), 404, "not_found")


@pytest.fixture
def openapi(stack: Stack) -> dict:
    assert stack.api.get("/docs").status_code == 200
    return stack.api.get("/openapi.json").json()


def test_every_operation_documents_its_problems(openapi: dict):
    """Whatever takes a parameter or a body can refuse it, as problem+json, and says so."""
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    documented = 0
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            if operation.get("parameters") or "requestBody" in operation:
                assert "422" in operation["responses"], (method, path)
            if "{" in path:
                assert "404" in operation["responses"] or method == "put", (method, path)
            for status, response in operation["responses"].items():
                if status >= "400" and path != "/readyz":
                    assert response["content"] == {"application/problem+json": problem}
                    documented += 1
    assert documented > 30
    assert "HTTPValidationError" not in openapi["components"]["schemas"]


def test_uploads_document_their_form(openapi: dict):
    """A client generator sees the file and the fields beside it."""
    operation = openapi["paths"]["/v1/collections/{collection}/videos"]["post"]
    schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    file = schema["properties"]["file"]
    assert (file["type"], file["format"]) == ("string", "binary")
    assert (set(schema["properties"]), schema["required"]) == ({"file", "metadata"}, ["file"])
    clip = openapi["paths"]["/v1/classify"]["post"]["requestBody"]
    assert clip["content"]["multipart/form-data"]["schema"]["required"] == ["file"]
