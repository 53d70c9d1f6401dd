"""HEAD on every route that answers GET, and the other methods that a known path refuses."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest

from app.route_table import ROUTE_TABLE
from tests.app.conftest import write_clip
from tests.app.stack import VIDEOS, Stack, assert_problem

READABLE = sorted(path for method, path in ROUTE_TABLE if method == "GET")
NOWHERE = "vid_" + 24 * "0"
VOLATILE = {"x-request-id", "date"}


def steady(answer: httpx.Response) -> dict[str, str]:
    return {name: text for name, text in answer.headers.items() if name not in VOLATILE}


def addresses(stack: Stack) -> Mapping[str, str]:
    """What stands for the names in a route's template, and files for the mounted folders."""
    video = stack.api.get(VIDEOS).json()["items"][0]["id"]
    job = stack.api.get("/v1/jobs").json()["items"][0]["id"]
    return {"collection": "default", "video_id": video, "job_id": job, "name": "none"}


def url_of(template: str, stack: Stack) -> str:
    mounted = {"/static": "/static/app.js", "/swagger": "/swagger/swagger-ui.css"}
    url = mounted.get(template) or template.format(upload_id="none", **addresses(stack))
    return f"{url}?start=0&end=1" if url.endswith("/clip") else url


@pytest.mark.parametrize("template", [path for path in READABLE if "upload_id" not in path])
def test_head_answers_as_get_does_without_a_body(library: Stack, template: str):
    """The same status and headers, the length of the body among them, and no byte of it."""
    url = url_of(template, library)
    told, given = library.api.head(url), library.api.get(url)
    assert told.status_code == given.status_code
    assert told.content == b""
    lengths = {"content-length"} if template == "/metrics" else set()  # it counts these requests
    assert {k: v for k, v in steady(told).items() if k not in lengths} == {
        k: v for k, v in steady(given).items() if k not in lengths
    }


def test_head_of_a_stream_ends_with_its_headers(stack: Stack, tmp_path):
    """The events of a job that no worker takes go on for ever; their headers do not."""
    job = stack.upload(write_clip(tmp_path / "a.mp4", seconds=1.0))["job"]["id"]
    told = stack.api.head(f"/v1/jobs/{job}/events")
    assert (told.status_code, told.content) == (200, b"")
    assert told.headers["content-type"].startswith("text/event-stream")


def test_head_is_counted_as_head_under_its_route(stack: Stack):
    """The metrics name the method that came and the route that served it."""
    stack.api.head("/livez")
    lines = stack.api.get("/metrics").text.splitlines()
    assert any('method="HEAD"' in line and 'route="/livez"' in line for line in lines)


def test_head_of_nothing_is_a_404(stack: Stack):
    """A path that no route serves is no more there for HEAD than for GET."""
    assert stack.api.head("/v1/nothing").status_code == 404
    assert stack.api.head(f"{VIDEOS}/{NOWHERE}").status_code == 404


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "TRACE", "POST"])
@pytest.mark.parametrize(
    "path", ["/static/app.js", "/swagger/swagger-ui.css", "/static/none", "/livez", "/", "/docs"]
)
def test_another_method_on_a_known_path_is_a_405(stack: Stack, method: str, path: str):
    """Files of a mounted folder refuse it like any route, and `Allow` names what they take."""
    answer = stack.api.request(method, path)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"
