"""The job queue against a plain model of it, through any sequence of calls."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from app.catalog import Catalog
from app.catalog.errors import JobStateConflict, LeaseLost, VideoNotFound
from app.catalog.records import Job
from app.catalog.sql.jobs import FIRST_PAUSE_S, LONGEST_PAUSE_S
from tests.app.catalog.samples import HandClock, complete, new_video

MAX_ATTEMPTS = 2
MAX_LOST = 3
LEASE_S = 30.0
NOBODY = ""  # a token that no claim gives
HOLDER = "holder"  # stands for the token that the job has, as most calls come from its worker


class CountedEntropy:
    """Bytes that never repeat, except that pauses are never shortened."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, count: int) -> bytes:
        if count == 4:
            return bytes(4)
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")


@dataclass
class PlainJob:
    """What is to be true of one job."""

    video: str
    status: str = "queued"
    attempts: int = 0
    token: str | None = None
    expires: datetime | None = None
    due: datetime | None = None
    error: str | None = None
    revision: int = 0

    def seen(self) -> tuple[object, ...]:
        """What the catalog is to show of it."""
        lease = (self.token, self.expires)
        return self.status, self.attempts, *lease, self.due, self.error, self.revision

    def queue(self, attempts: int, error: str | None, due: datetime | None) -> None:
        """Waits again."""
        self.status, self.attempts, self.error, self.due = "queued", attempts, error, due
        self.token = self.expires = None
        self.revision += 1

    def end(self, status: str, error: str | None) -> None:
        """Is over; the token stays, so that its worker may ask again."""
        self.status, self.error, self.expires = status, error, None
        self.revision += 1


@dataclass
class PlainVideo:
    """What is to be true of one video."""

    job: str
    status: str = "processing"


@dataclass
class PlainQueue:
    """The queue as a dictionary of jobs, the oldest first."""

    clock: HandClock
    jobs: dict[str, PlainJob] = field(default_factory=dict)
    videos: dict[str, PlainVideo] = field(default_factory=dict)

    def claim(self) -> str | None:
        """The job that the next claim gets; those that it finds abandoned are put back."""
        now = self.clock.now()
        for job in self.jobs.values():
            if not (job.status == "running" and job.expires is not None and job.expires <= now):
                continue
            if job.attempts >= MAX_LOST:
                self.fail(job, "attempts_exhausted")
            else:
                job.queue(job.attempts, "worker_lost", self.after_pause(job.attempts))
        for name, job in self.jobs.items():
            if job.status == "queued" and (job.due is None or job.due <= now):
                if job.attempts < MAX_LOST:
                    return name
                self.fail(job, "attempts_exhausted")
        return None

    def after_pause(self, attempts: int) -> datetime:
        """When a job is due that has been tried so often."""
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempts - 1))
        return self.clock.now() + timedelta(seconds=pause)

    def fail(self, job: PlainJob, error: str) -> None:
        """Ends the job, and its video unless an earlier ingest stands."""
        job.end("failed", error)
        self.spoil(job)

    def spoil(self, job: PlainJob) -> None:
        """The video of a job that came to nothing has failed, unless it is ready."""
        video = self.videos.get(job.video)
        if video is not None and video.status == "processing":
            video.status = "failed"


class QueueStates(RuleBasedStateMachine):
    """Every rule does the same to the catalog and to the model, and compares the answers."""

    template: Path
    names = Bundle("names")
    tokens = Bundle("tokens")
    speakers = st.just(HOLDER) | st.just(HOLDER) | tokens

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.folder / "catalog.sqlite")
        self.clock = HandClock()
        self.catalog = Catalog.open(
            f"sqlite:///{self.folder}/catalog.sqlite",
            clock=self.clock,
            entropy=CountedEntropy(),
            max_attempts=MAX_ATTEMPTS,
            max_lost=MAX_LOST,
        )
        self.model = PlainQueue(self.clock)
        self.added = 0

    def teardown(self) -> None:
        """However it ended, the rows fit each other."""
        try:
            assert self.catalog.inconsistencies() == []
        finally:
            self.catalog.close()
            shutil.rmtree(self.folder)

    @initialize(target=tokens)
    def start(self) -> str:
        return NOBODY

    @rule(target=names)
    def add(self) -> str:
        """A new video is queued behind all others."""
        self.added += 1
        self.clock.advance(0.001)  # ids of one millisecond have no order
        video, job, _ = self.catalog.add_video_with_job("default", new_video(self.added))
        self.model.jobs[job.id] = PlainJob(video.id)
        self.model.videos[video.id] = PlainVideo(job.id)
        return job.id

    @rule(target=tokens)
    def claim(self) -> Any:
        """The oldest job that is due, or none."""
        expected = self.model.claim()
        job = self.catalog.claim_job("worker", LEASE_S)
        assert (None if job is None else job.id) == expected
        if job is None:
            return multiple()
        assert job.lease_token is not None
        plain = self.model.jobs[job.id]
        plain.status, plain.attempts = "running", plain.attempts + 1
        plain.token, plain.due = job.lease_token, None
        plain.expires = self.clock.now() + timedelta(seconds=LEASE_S)
        plain.revision += 1
        return job.lease_token

    @rule(seconds=st.sampled_from([1.0, LEASE_S, LONGEST_PAUSE_S]))
    def wait(self, seconds: float) -> None:
        """Leases run out and pauses end."""
        self.clock.advance(seconds)

    @rule(name=names, token=speakers, progress=st.sampled_from([0.25, 0.5]))
    def beat(self, name: str, token: str, progress: float) -> None:
        """Prolongs the lease of its holder only; the same news twice is one change."""
        token = self.spoken(name, token)
        plain = self.model.jobs[name]
        before = self.catalog.get_job(name)
        held = self.catalog.heartbeat(
            name, token, stage="encode", progress=progress, lease_s=LEASE_S
        )
        assert held == (plain.status == "running" and plain.token == token)
        if held:
            plain.expires = self.clock.now() + timedelta(seconds=LEASE_S)
            plain.revision += (before.stage, before.progress) != ("encode", progress)

    def spoken(self, name: str, token: str) -> str:
        """The token that the call sends."""
        return (self.model.jobs[name].token or NOBODY) if token == HOLDER else token

    def holds(self, name: str, token: str, ended: str) -> bool:
        """Whether the token still speaks for the job."""
        plain = self.model.jobs[name]
        return plain.token == token and plain.status in ("running", ended)

    @rule(name=names, token=speakers)
    def complete(self, name: str, token: str) -> None:
        """Makes the video ready, once; a worker that lost its lease is told so."""
        token = self.spoken(name, token)
        plain = self.model.jobs[name]
        job = self.catalog.get_job(name)
        if not self.holds(name, token, "succeeded"):
            assert lost(lambda: complete(self.catalog, job, token))
            return
        complete(self.catalog, job, token)
        if plain.status == "running":
            plain.end("succeeded", None)
            self.model.videos[plain.video].status = "ready"

    @rule(name=names, token=speakers, again=st.booleans(), outside=st.booleans())
    def fail(self, name: str, token: str, again: bool, outside: bool) -> None:
        """An attempt is left, or the job ends."""
        token = self.spoken(name, token)
        plain = self.model.jobs[name]

        def call() -> Job:
            return self.catalog.fail_job(
                name, token, code="oh", message="Oh.", retry=again, from_outside=outside
            )

        if not self.holds(name, token, "failed"):
            assert lost(call)
            return
        call()
        if plain.status == "failed":
            return
        if again and plain.attempts < (MAX_LOST if outside else MAX_ATTEMPTS):
            plain.queue(plain.attempts, "oh", self.model.after_pause(plain.attempts))
        else:
            self.model.fail(plain, "oh")

    @rule(name=names, token=speakers)
    def postpone(self, name: str, token: str) -> None:
        """Costs no attempt."""
        token = self.spoken(name, token)
        plain = self.model.jobs[name]

        def call() -> Job:
            return self.catalog.postpone_job(name, token, code="full", message="Full.", wait_s=60)

        if not self.holds(name, token, "running"):
            assert lost(call)
            return
        call()
        plain.queue(plain.attempts - 1, "full", self.clock.now() + timedelta(seconds=60))

    @rule(name=names, token=speakers)
    def release(self, name: str, token: str) -> None:
        """Costs no attempt, and leaves no reason."""
        token = self.spoken(name, token)
        plain = self.model.jobs[name]
        released = self.catalog.release_job(name, token)
        assert released == self.holds(name, token, "running")
        if released:
            plain.queue(plain.attempts - 1, None, None)

    @rule(name=names)
    def cancel(self, name: str) -> None:
        """Whatever has not ended ends."""
        plain = self.model.jobs[name]
        if plain.status in ("succeeded", "failed"):
            assert refused(lambda: self.catalog.cancel_job(name), JobStateConflict)
            return
        self.catalog.cancel_job(name)
        if plain.status != "canceled":
            plain.end("canceled", plain.error)
            plain.token = plain.due = None
            self.model.spoil(plain)

    @rule(name=names)
    def retry(self, name: str) -> None:
        """What ended badly begins anew, unless its video is gone or has a later job."""
        plain = self.model.jobs[name]
        if plain.status == "queued":
            self.catalog.retry_job(name)
            if plain.due is not None:
                plain.due = None
                plain.revision += 1
            return
        video = self.model.videos.get(plain.video)
        if plain.status in ("running", "succeeded") or (video and video.job != name):
            assert refused(lambda: self.catalog.retry_job(name), JobStateConflict)
        elif video is None:
            assert refused(lambda: self.catalog.retry_job(name), VideoNotFound)
        else:
            self.catalog.retry_job(name)
            plain.queue(0, None, None)
            video.status = "ready" if video.status == "ready" else "processing"

    @rule(target=names, name=names, after_failure=st.booleans())
    def rebuild(self, name: str, after_failure: bool) -> Any:
        """A second job of a video that is ready and for which none waits."""
        self.clock.advance(0.001)
        plain = self.model.jobs[name]
        video = self.model.videos.get(plain.video)
        made = self.catalog.queue_rebuild(plain.video, after_failure=after_failure)
        if video is None or video.status == "failed":
            assert made is None
            return multiple()
        latest = self.model.jobs[video.job].status
        wanted = latest == "succeeded" or (after_failure and latest in ("failed", "canceled"))
        assert (made is not None) == wanted
        if made is None:
            return multiple()
        self.model.jobs[made] = PlainJob(plain.video)
        video.job = made
        return made

    @rule(name=names)
    def delete(self, name: str) -> None:
        """The video goes, and its unfinished jobs with it."""
        gone = self.model.jobs[name].video
        if self.model.videos.pop(gone, None) is None:
            assert refused(lambda: self.catalog.delete_video("default", gone), VideoNotFound)
            return
        self.catalog.delete_video("default", gone)
        for plain in self.model.jobs.values():
            if plain.video == gone and plain.status in ("queued", "running"):
                plain.end("canceled", plain.error)
                plain.token = plain.due = None

    @invariant()
    def agree(self) -> None:
        """Every job and video is what the model says."""
        found = {job.id: seen(job) for job in self.catalog.list_jobs(limit=200).items}
        assert found == {name: job.seen() for name, job in self.model.jobs.items()}
        videos = self.catalog.list_videos("default", limit=200).items
        assert {video.id: (video.status, video.job_id) for video in videos} == {
            name: (video.status, video.job) for name, video in self.model.videos.items()
        }
        states = [job.status for job in self.model.jobs.values()]
        backlog = self.catalog.backlog()
        assert backlog.queued == states.count("queued")
        assert backlog.running == states.count("running")


def seen(job: Job) -> tuple[object, ...]:
    """What the model knows of a job."""
    return (
        job.status,
        job.attempts,
        job.lease_token,
        job.lease_expires_at,
        job.not_before,
        job.error_code,
        job.revision,
    )


def lost(call: Any) -> bool:
    return refused(call, LeaseLost)


def refused(call: Any, kind: type[Exception]) -> bool:
    """Whether the call raises that."""
    try:
        call()
    except kind:
        return True
    return False


def test_the_queue_does_what_its_model_does(tmp_path: Path) -> None:
    """After any calls in any order, each job has one holder, its attempts, and its due time."""
    template = tmp_path / "template.sqlite"
    with Catalog.open(f"sqlite:///{template}") as catalog:
        catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
    QueueStates.template = template
    run_state_machine_as_test(
        QueueStates, settings=settings(max_examples=12, stateful_step_count=25, deadline=None)
    )
