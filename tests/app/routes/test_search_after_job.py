"""`after_job`: a search that waits until an upload can be found, and no longer than it may."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from tests.app.conftest import MakeClip
from tests.app.planted import ask, create, url
from tests.app.stack import SEARCH, Stack, assert_problem


def test_a_search_right_after_an_upload_finds_it(
    stack: Stack, make_clip: MakeClip, looked: threading.Event
):
    """Sent while the job waits, answered when it is done."""
    stack.ingest(make_clip("first.mp4", seconds=1, seed=7))  # the first decoder takes its time
    uploaded = stack.upload(make_clip(seconds=1))

    def work() -> None:
        assert looked.wait(300)
        stack.puller.run_one()

    worker = threading.Thread(target=work)
    worker.start()
    found = ask(stack, text="red", after_job=uploaded["job"]["id"], deadline_ms=60_000)
    worker.join()
    assert uploaded["video"]["id"] in [result["video_id"] for result in found["results"]]


def test_a_batch_and_a_search_by_clip_wait_too(stack: Stack, make_clip: MakeClip):
    """The job is done already, so they do not wait at all, even with no time to."""
    path = make_clip(seconds=1)
    uploaded = stack.upload(path)
    assert stack.puller.run_one()
    query = {"text": "red", "after_job": uploaded["job"]["id"], "deadline_ms": 0}
    batch = stack.api.post(url("default", "search:batch"), json={"queries": [query]})
    assert len(batch.json()["answers"][0]["results"]) == 1
    form = {"after_job": json.dumps(uploaded["job"]["id"]), "deadline_ms": "0"}
    clip = stack.api.post(
        url("default", "search:clip"), files={"file": ("a.mp4", path.read_bytes())}, data=form
    )
    assert clip.status_code == 200, clip.text
    assert len(clip.json()["results"]) == 1


@pytest.mark.parametrize("deadline_ms", [0, 150])
def test_a_deadline_that_passes_is_said(stack: Stack, make_clip: MakeClip, deadline_ms: int):
    """504, in about the time that was given, and nothing was asked of the model."""
    uploaded = stack.upload(make_clip(seconds=1))
    body = {"text": "red", "after_job": uploaded["job"]["id"], "deadline_ms": deadline_ms}
    began = time.monotonic()
    answer = stack.api.post(SEARCH, json=body)
    assert deadline_ms / 1000 <= time.monotonic() - began < 60
    assert_problem(answer, 504, "deadline_exceeded")
    assert stack.worker.requests == []


def test_a_job_that_fails_or_is_canceled_is_not_waited_for(stack: Stack, tmp_path: Path):
    """409 at once: what it would have brought will not come."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is not a video" * 100)
    failed = stack.upload(broken)["job"]["id"]
    while stack.puller.run_one():
        pass
    broken.write_bytes(b"nor is this" * 100)
    canceled = stack.upload(broken)["job"]["id"]
    assert stack.api.post(f"/v1/jobs/{canceled}:cancel").status_code == 200
    for job, word in ((failed, "failed"), (canceled, "canceled")):
        answer = stack.api.post(SEARCH, json={"text": "red", "after_job": job})
        body = assert_problem(answer, 409, "job_did_not_succeed")
        assert word in body["detail"]


def test_an_unknown_job_is_not_found(stack: Stack):
    """404, without a wait."""
    answer = stack.api.post(SEARCH, json={"text": "red", "after_job": "job_none"})
    assert_problem(answer, 404, "job_not_found")


def test_a_job_of_another_collection_is_refused(stack: Stack, make_clip: MakeClip):
    """Its video would never be found here."""
    create(stack, "other")
    uploaded = stack.upload(make_clip(seconds=1), url("other", "videos"))
    answer = stack.api.post(SEARCH, json={"text": "red", "after_job": uploaded["job"]["id"]})
    assert_problem(answer, 422, "invalid_request")
