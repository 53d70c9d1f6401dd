"""Jobs: one worker at a time, under a lease, ending once."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from app.catalog import Catalog
from app.catalog.errors import (
    JobNotFound,
    JobStateConflict,
    LeaseLost,
    VectorsOfAnotherModel,
    VideoNotFound,
)
from app.catalog.records import Job, Video
from tests.app.catalog.samples import (
    DIM,
    FACTS,
    HandClock,
    claim,
    claim_after_pause,
    complete,
    embeddings,
    ingest,
    new_segments,
    new_video,
    rows_of,
)


@pytest.fixture
def video(catalog: Catalog) -> Video:
    """A video that waits to be ingested."""
    return catalog.add_video_with_job("default", new_video("a"))[0]


def fail(catalog: Catalog, job: Job, token: str, *, retry: bool) -> Job:
    return catalog.fail_job(job.id, token, code="decode_timeout", message="Slow.", retry=retry)


def test_a_claim_holds_the_job(catalog: Catalog, video: Video, clock: HandClock) -> None:
    """The claimed job runs, counts the attempt, and says until when it is held."""
    clock.advance(5)
    job, token = claim(catalog, lease_s=30)
    assert (video.job_id, "running", 1, "worker") == (
        job.id,
        job.status,
        job.attempts,
        job.lease_owner,
    )
    assert clock.now() == job.started_at
    assert clock.now() + timedelta(seconds=30) == job.lease_expires_at
    assert len(token) >= 32
    assert job == catalog.get_job(job.id)
    assert catalog.claim_job("other", 30) is None


def test_the_oldest_waits_no_longer(catalog: Catalog, clock: HandClock) -> None:
    """Jobs are claimed in the order they were queued."""
    queued = []
    for number in range(4):
        clock.advance(1)
        queued.append(catalog.add_video_with_job("default", new_video(number))[1].id)
    assert queued == [claim(catalog)[0].id for _ in range(4)]


def test_an_expired_lease_is_taken_over(catalog: Catalog, video: Video, clock: HandClock) -> None:
    """A worker that stays silent loses the job to the next, and with it the right to end it."""
    job, lost = claim(catalog, lease_s=30)
    clock.advance(29.9)
    assert catalog.claim_job("other", 30) is None
    clock.advance(0.2)
    assert catalog.claim_job("other", 30) is None  # seen to be abandoned; it may kill its workers
    again, token = claim_after_pause(catalog, clock)
    assert (job.id, 2) == (again.id, again.attempts)
    assert lost != token
    assert not catalog.heartbeat(job.id, lost, stage="embed", progress=0.9, lease_s=30)
    assert not catalog.release_job(job.id, lost)
    for end in (complete, lambda *those: fail(*those, retry=True)):
        with pytest.raises(LeaseLost, match=job.id):
            end(catalog, job, lost)
    assert catalog.count_segments("default") == 0
    assert complete(catalog, again, token, count=2).status == "succeeded"
    with pytest.raises(LeaseLost):
        complete(catalog, job, lost, count=5)
    assert len(rows_of(catalog, video)) == 2


def test_heartbeats_hold_the_job_and_show_its_progress(
    catalog: Catalog, video: Video, clock: HandClock
) -> None:
    """Each heartbeat moves the end of the lease; stage and progress are there to be read."""
    job, token = claim(catalog, lease_s=30)
    for step in range(5):
        clock.advance(20)
        assert catalog.heartbeat(job.id, token, stage="embed", progress=step / 5, lease_s=30)
        assert catalog.claim_job("other", 30) is None
    seen = catalog.get_job(job.id)
    assert (seen.stage, seen.progress, seen.attempts) == ("embed", 0.8, 1)


def test_a_late_heartbeat_keeps_a_job_nobody_took(
    catalog: Catalog, video: Video, clock: HandClock
) -> None:
    """A worker that was only slow goes on, and may end its job."""
    job, token = claim(catalog, lease_s=30)
    clock.advance(100)
    assert catalog.heartbeat(job.id, token, stage="embed", progress=0.5, lease_s=30)
    clock.advance(100)
    assert complete(catalog, job, token).status == "succeeded"


def test_success_makes_the_video_findable_at_once(
    catalog: Catalog, video: Video, clock: HandClock
) -> None:
    """Job, video, segments and sequence change together."""
    job, token = claim(catalog)
    clock.advance(7)
    done = complete(catalog, job, token, count=3)
    assert (done.status, done.progress, done.lease_expires_at) == ("succeeded", 1.0, None)
    assert clock.now() == done.searchable_at == done.finished_at
    assert done == catalog.get_job(job.id)
    assert catalog.get_video("default", video.id).status == "ready"
    collection = catalog.get_collection("default")
    assert (collection.sequence, collection.fingerprint, collection.dim) == (3, "f00d", DIM)


def test_another_models_vectors_are_refused(catalog: Catalog) -> None:
    """A collection keeps the model that filled it first; nothing of another gets in."""
    ingest(catalog, "a")
    video, _, _ = catalog.add_video_with_job("default", new_video("b"))
    job, token = claim(catalog)
    for vectors, fingerprint in (
        (embeddings(1), "beef"),
        (np.ones((1, DIM + 1), np.float32), "f00d"),
    ):
        with pytest.raises(VectorsOfAnotherModel, match="default"):
            catalog.complete_ingest(
                job.id,
                token,
                facts=FACTS,
                segments=new_segments(1),
                embeddings=vectors,
                model="motion-tiny",
                fingerprint=fingerprint,
            )
    assert rows_of(catalog, video) == []
    assert catalog.get_job(job.id).status == "running"


@pytest.mark.parametrize(
    ("count", "vectors", "says"),
    [
        (0, np.ones((0, DIM), np.float32), "0 segments"),
        (2, np.ones((3, DIM), np.float32), "2 segments do not fit 3"),
        (1, np.ones((1, DIM), np.float64), "float64"),
        (1, np.ones(DIM, np.float32), "float32 of shape"),
        (1, np.ones((1, 0), np.float32), "float32 of shape"),
        (1, np.full((1, DIM), np.inf, np.float32), "finite"),
    ],
)
def test_results_that_do_not_fit_are_refused(
    catalog: Catalog, video: Video, count: int, vectors: np.ndarray, says: str
) -> None:
    """No segments, a wrong number of vectors, a wrong dtype or a value that is no number."""
    job, token = claim(catalog)
    with pytest.raises(ValueError, match=says):
        catalog.complete_ingest(
            job.id,
            token,
            facts=FACTS,
            segments=new_segments(count),
            embeddings=vectors,
            model="motion-tiny",
            fingerprint="f00d",
        )
    assert catalog.get_job(job.id).status == "running"


def test_a_failure_is_told(catalog: Catalog, video: Video, clock: HandClock) -> None:
    """Without retry the job and its video carry the code and the sentence."""
    job, token = claim(catalog)
    failed = fail(catalog, job, token, retry=False)
    assert ("failed", "decode_timeout", "Slow.", clock.now()) == (
        failed.status,
        failed.error_code,
        failed.error_message,
        failed.finished_at,
    )
    assert failed == fail(catalog, job, token, retry=False)  # the answer was lost, asked again
    seen = catalog.get_video("default", video.id)
    assert (seen.status, seen.error_code, seen.error_message) == (
        "failed",
        "decode_timeout",
        "Slow.",
    )
    assert catalog.claim_job("other", 30) is None
    with pytest.raises(LeaseLost):
        complete(catalog, job, token)


def test_a_failure_may_be_tried_again_so_often(
    catalog: Catalog, video: Video, clock: HandClock
) -> None:
    """With retry the job waits again until its attempts are used up; then it has failed."""
    for attempt in (1, 2):
        job, token = claim_after_pause(catalog, clock)
        waiting = fail(catalog, job, token, retry=True)
        assert ("queued", attempt, "decode_timeout") == (
            waiting.status,
            waiting.attempts,
            waiting.error_code,
        )
        assert catalog.get_video("default", video.id).status == "processing"
    job, token = claim_after_pause(catalog, clock)
    assert (fail(catalog, job, token, retry=True).status, job.attempts) == ("failed", 3)
    assert catalog.get_video("default", video.id).status == "failed"


def test_a_death_from_outside_leaves_more_attempts(
    catalog: Catalog, video: Video, clock: HandClock
) -> None:
    """A job has twenty attempts where something else ended them, and then it fails."""
    for attempts in range(1, 21):
        assert catalog.get_video("default", video.id).status == "processing"
        job, token = claim_after_pause(catalog, clock)
        ended = catalog.fail_job(
            job.id, token, code="decoder_lost", message="Lost.", retry=True, from_outside=True
        )
        assert ended.attempts == attempts
    assert (ended.status, ended.error_code) == ("failed", "decoder_lost")


def test_a_fault_of_its_own_ends_a_job_that_was_interrupted_before(
    catalog: Catalog, video: Video, clock: HandClock
) -> None:
    """Attempts that were ended from outside count once the job fails by itself."""
    for _ in range(5):
        job, token = claim_after_pause(catalog, clock)
        catalog.fail_job(
            job.id, token, code="decoder_lost", message="Lost.", retry=True, from_outside=True
        )
    job, token = claim_after_pause(catalog, clock)
    assert fail(catalog, job, token, retry=True).status == "failed"


def test_success_after_a_retry_leaves_no_error(
    catalog: Catalog, video: Video, clock: HandClock
) -> None:
    """What went wrong before is not held against a job that succeeded."""
    job, token = claim(catalog)
    fail(catalog, job, token, retry=True)
    job, token = claim_after_pause(catalog, clock)
    done = complete(catalog, job, token)
    assert (done.error_code, done.error_message) == (None, None)


def test_a_job_that_kills_workers_is_given_up(
    catalog: Catalog, video: Video, clock: HandClock
) -> None:
    """After twenty attempts were abandoned the job fails, and the next job gets its turn."""
    clock.advance(1)
    _, other, _ = catalog.add_video_with_job("default", new_video("b"))
    for attempt in range(1, 20):
        job, _ = claim_after_pause(catalog, clock)
        assert (job.id, job.attempts) == (video.job_id, attempt)
        clock.advance(31)
        held, token = claim(catalog)  # meanwhile nobody waits for it
        assert held.id == other.id
        catalog.release_job(other.id, token)
    assert claim_after_pause(catalog, clock)[0].id == video.job_id
    clock.advance(31)
    assert other.id == claim(catalog)[0].id
    job, seen = catalog.get_job(video.job_id), catalog.get_video("default", video.id)
    assert (job.status, job.error_code) == ("failed", "attempts_exhausted")
    assert (seen.status, seen.error_code) == ("failed", "attempts_exhausted")


def test_a_released_job_waits_as_before(catalog: Catalog, video: Video) -> None:
    """A worker that is stopped gives its job back, and the attempt does not count."""
    for _ in range(5):
        job, token = claim(catalog)
        assert job.attempts == 1
        assert catalog.release_job(job.id, token)
        assert not catalog.release_job(job.id, token)
    assert (
        catalog.get_job(job.id).status,
        catalog.get_job(job.id).attempts,
        catalog.get_job(job.id).lease_token,
    ) == ("queued", 0, None)


def test_a_canceled_job_is_not_worked_on(catalog: Catalog, video: Video, clock: HandClock) -> None:
    """Canceling takes the job from its worker or out of the queue, and says so on the video."""
    job, token = claim(catalog)
    canceled = catalog.cancel_job(job.id)
    assert ("canceled", clock.now()) == (canceled.status, canceled.finished_at)
    assert canceled == catalog.cancel_job(job.id)
    assert not catalog.heartbeat(job.id, token, stage="embed", progress=0.5, lease_s=30)
    with pytest.raises(LeaseLost):
        complete(catalog, job, token)
    assert catalog.claim_job("other", 30) is None
    seen = catalog.get_video("default", video.id)
    assert (seen.status, seen.error_code) == ("failed", "canceled")


def test_what_has_ended_cannot_be_canceled(catalog: Catalog, video: Video) -> None:
    """A finished job stays as it ended."""
    job, token = claim(catalog)
    complete(catalog, job, token)
    with pytest.raises(JobStateConflict, match="succeeded"):
        catalog.cancel_job(job.id)
    assert catalog.get_video("default", video.id).status == "ready"


def test_a_retried_job_starts_over(catalog: Catalog, video: Video) -> None:
    """A failed or canceled job can be queued again, with all its attempts and without its error."""
    job, token = claim(catalog)
    fail(catalog, job, token, retry=False)
    retried = catalog.retry_job(job.id)
    assert (
        retried.status,
        retried.attempts,
        retried.error_code,
        retried.finished_at,
    ) == ("queued", 0, None, None)
    assert retried == catalog.retry_job(job.id)
    assert catalog.get_video("default", video.id).status == "processing"
    catalog.cancel_job(job.id)
    catalog.retry_job(job.id)
    job, token = claim(catalog)
    assert complete(catalog, job, token).status == "succeeded"


def test_only_what_failed_can_be_retried(catalog: Catalog, video: Video) -> None:
    """Not a running job, a finished one, or one whose video is gone or has a later job."""
    first, token = claim(catalog)
    with pytest.raises(JobStateConflict, match="running"):
        catalog.retry_job(first.id)
    fail(catalog, first, token, retry=False)
    _, second, _ = catalog.add_video_with_job("default", new_video("a"))
    with pytest.raises(JobStateConflict, match=second.id):
        catalog.retry_job(first.id)
    job, token = claim(catalog)
    complete(catalog, job, token)
    with pytest.raises(JobStateConflict, match="succeeded"):
        catalog.retry_job(second.id)
    catalog.delete_video("default", video.id)
    with pytest.raises(VideoNotFound):
        catalog.retry_job(first.id)


def test_lists_the_newest_first(catalog: Catalog, clock: HandClock) -> None:
    """All jobs, or those of a status or a collection, in pages."""
    catalog.create_collection("other", model="m", window_s=5, stride_s=2.5)
    jobs: list[Job] = []
    for number in range(5):
        clock.advance(1)
        name = "other" if number == 2 else "default"
        jobs.insert(0, catalog.add_video_with_job(name, new_video(number))[1])
    first = catalog.list_jobs(limit=3)
    assert tuple(jobs[:3]) == first.items
    assert tuple(jobs[3:]) == catalog.list_jobs(cursor=first.next_cursor, limit=3).items
    assert (jobs[2],) == catalog.list_jobs(collection="other").items
    running, _ = claim(catalog)
    assert (running,) == catalog.list_jobs(status="running").items
    assert len(catalog.list_jobs(status="queued", collection="default").items) == 3


def test_unknown_jobs_are_named(catalog: Catalog) -> None:
    """Everything that names a job says which one there is not."""
    for ask in (
        lambda: catalog.get_job("job_none"),
        lambda: catalog.cancel_job("job_none"),
        lambda: catalog.retry_job("job_none"),
        lambda: catalog.release_job("job_none", "t"),
        lambda: catalog.fail_job("job_none", "t", code="c", message="m", retry=True),
        lambda: catalog.complete_ingest(
            "job_none",
            "t",
            facts=FACTS,
            segments=new_segments(1),
            embeddings=embeddings(1),
            model="motion-tiny",
            fingerprint="f",
        ),
    ):
        with pytest.raises(JobNotFound, match="job_none"):
            ask()
    assert not catalog.heartbeat("job_none", "t", stage="s", progress=0, lease_s=1)
