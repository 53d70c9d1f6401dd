"""Jobs: listed, followed, stopped, repeated."""

from __future__ import annotations

import pytest

from tests.app.conftest import MakeClip
from tests.app.stack import VIDEOS, Stack, assert_problem


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
