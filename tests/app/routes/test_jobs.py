"""Jobs: listed, followed, stopped, repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import failpoints
from app.catalog import Catalog
from tests.app.catalog.samples import HandClock, claim, new_video
from tests.app.conftest import MakeClip
from tests.app.stack import VIDEOS, Stack, assert_problem, open_stack
from xclip.encoder import Encoder


def test_a_job_tells_its_whole_life(stack: Stack, make_clip: MakeClip):
    """Queued, then succeeded with every moment of it; its holder's token stays inside."""
    job = stack.upload(make_clip(seconds=1))["job"]
    assert (job["status"], job["attempts"], job["started_at"]) == ("queued", 0, None)
    stack.puller.run_one()
    after = stack.api.get(f"/v1/jobs/{job['id']}").json()
    assert (after["status"], after["progress"], after["attempts"]) == ("succeeded", 1.0, 1)
    moments = [after[key] for key in ("created_at", "started_at", "finished_at", "searchable_at")]
    assert moments == sorted(moments)
    assert all(moment.endswith("Z") for moment in moments)
    assert not [key for key in after if "lease" in key]
    video = stack.api.get(f"{VIDEOS}/{after['video_id']}").json()
    assert after["seconds_done"] == after["seconds_total"] == video["duration_s"] > 0
    assert (after["eta_s"], after["not_before"], video["lost_s"]) == (None, None, 0)
    assert after["revision"] > job["revision"] == 0


def test_a_job_that_has_to_wait_says_why_and_until_when(stack: Stack, make_clip: MakeClip):
    """After a full disk, for example; a retry by hand ends the wait."""
    url = f"/v1/jobs/{stack.upload(make_clip(seconds=1))['job']['id']}"
    failpoints.configure("tensors_written:enospc")
    assert stack.puller.run_one()
    waiting = stack.api.get(url).json()
    assert (waiting["status"], waiting["attempts"]) == ("queued", 0)
    assert waiting["error"]["code"] == "storage_full"
    assert waiting["not_before"] > waiting["started_at"]
    assert not stack.puller.run_one()
    assert stack.api.post(f"{url}:retry").json()["not_before"] is None
    assert stack.puller.run_one()
    assert stack.api.get(url).json()["error"] is None


def test_a_running_job_says_how_long_it_will_take(tmp_path: Path, encoder: Encoder):
    """As long again as it took so far, when half is done; nothing while nothing is done."""
    clock = HandClock()
    with (
        open_stack(tmp_path / "data", encoder, clock=clock) as stack,
        Catalog.open(stack.settings.catalog_url, clock=clock) as catalog,
    ):
        catalog.add_video_with_job("default", new_video("a"))
        job, token = claim(catalog)
        clock.advance(10)

        def eta_s(progress: float) -> float | None:
            catalog.heartbeat(job.id, token, stage="encode", progress=progress, lease_s=30)
            listed = stack.api.get("/v1/jobs").json()["items"][0]
            one = stack.api.get(f"/v1/jobs/{job.id}").json()
            assert listed == one
            return one["eta_s"]

        assert [eta_s(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == [None, 30.0, 10.0, 0.0]


def test_a_canceled_job_is_not_done_until_it_is_retried(stack: Stack, make_clip: MakeClip):
    """Cancel takes it out of the queue, however often; retry puts it back; done is done."""
    uploaded = stack.upload(make_clip(seconds=1))
    url = f"/v1/jobs/{uploaded['job']['id']}"
    for _ in range(2):
        assert stack.api.post(f"{url}:cancel").json()["status"] == "canceled"
    assert stack.puller.run_one() is False
    assert stack.api.post(f"{url}:retry").json()["status"] == "queued"
    assert stack.puller.run_one() is True
    for action in ("cancel", "retry"):
        assert_problem(stack.api.post(f"{url}:{action}"), 409, "job_state_conflict")
    video = stack.api.get(f"{VIDEOS}/{uploaded['video']['id']}").json()
    assert video["status"] == "ready"


def test_jobs_are_listed_by_status_collection_and_page(stack: Stack, make_clip: MakeClip):
    """Newest first; filters and cursors combine."""
    stack.api.put("/v1/collections/other")
    for seed in range(3):
        stack.upload(make_clip(f"{seed}.mp4", seconds=1, seed=seed))
    stack.upload(make_clip("o.mp4", seconds=1), "/v1/collections/other/videos")
    stack.puller.run_one()

    def ids(**params: object) -> list[str]:
        return [job["id"] for job in stack.api.get("/v1/jobs", params=params).json()["items"]]

    everything = ids()
    assert everything == sorted(everything, reverse=True)
    assert len(everything) == 4
    assert ids(collection="other") == everything[:1]
    assert ids(status="succeeded") == everything[3:]
    assert ids(status="queued", collection="default") == everything[1:3]
    first = stack.api.get("/v1/jobs", params={"limit": 3}).json()
    assert ids(cursor=first["next_cursor"]) == everything[3:]


@pytest.mark.parametrize("action", ["", ":cancel", ":retry"])
def test_unknown_jobs_are_not_found(library: Stack, action: str):
    """Asking, stopping and repeating alike."""
    method = "POST" if action else "GET"
    answer = library.api.request(method, f"/v1/jobs/job_none{action}")
    assert_problem(answer, 404, "job_not_found")


@pytest.mark.parametrize("params", [{"status": "done"}, {"limit": 0}, {"collection": "A B"}])
def test_malformed_lists_are_refused(library: Stack, params: dict[str, object]):
    """A misspelt status is not an empty list."""
    assert_problem(library.api.get("/v1/jobs", params=params), 422, "invalid_request")
