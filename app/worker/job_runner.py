"""Job runner: claims ingest jobs under a lease and sees each through to an end in the catalog."""

from __future__ import annotations

import logging
import threading

from app import failpoints
from app.catalog import Catalog
from app.catalog.errors import LeaseLost, NotFound, VectorsOfAnotherModel, is_disk_full
from app.catalog.records import Job
from app.clock import Clock
from app.errors import GpuOutOfMemory
from app.storage.media_store import StorageFull
from app.telemetry.metrics import WorkerMetrics
from app.worker.attempt import Attempt
from app.worker.errors import Interrupted
from app.worker.job_telemetry import observed
from app.worker.lease import Lease
from app.worker.memory_shortage import memory_shortage
from app.worker.pipeline import ContentMissing, IngestPipeline
from app.worker.pricing import Pricing
from app.worker.slots import LONG_S, IngestSlots, Slot
from xclip.errors import DecoderLost, VideoError

logger = logging.getLogger(__name__)

POLL_S = 0.25
PAUSE_AFTER_FAILURE_S = 2.0
STORAGE_FULL_WAIT_S = 30.0


class JobRunner:
    """Claims, runs and ends ingest jobs until it is told to stop: one in each thread of `run`.

    There is work for one thread more than there are slots: see `slots`.
    """

    def __init__(
        self,
        catalog: Catalog,
        pipeline: IngestPipeline,
        owner: str,
        lease_s: float,
        clock: Clock,
        metrics: WorkerMetrics,
        slots: IngestSlots,
    ) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._owner = owner
        self._lease_s = lease_s
        self._clock = clock
        self._metrics = metrics
        self._slots = slots
        self._pricing = Pricing()
        self._stopping = threading.Event()
        self._had_room = True

    def stop(self) -> None:
        """Ask `run` to return; a job in progress goes back to the queue."""
        self._stopping.set()

    def stopping(self) -> bool:
        """Whether `stop` has been called."""
        return self._stopping.is_set()

    def run(self) -> None:
        """Work until `stop`. Whatever one job does, the next one gets its turn."""
        while not self._stopping.is_set():
            try:
                pause_s = 0.0 if self.run_one() else POLL_S
            except Exception:  # the catalog is away, for example; its leases expire by themselves
                logger.exception("the worker could not claim or end a job")
                pause_s = PAUSE_AFTER_FAILURE_S
            self._stopping.wait(pause_s)

    def run_one(self) -> bool:
        """Do one job if there are one, a slot and room on the disk; says whether it did."""
        with self._slots.take() as slot:
            if slot is None or not self._has_room():
                return False
            longest_s = LONG_S if slot.for_short else None
            job = self._catalog.claim_job(self._owner, self._lease_s, longest_s=longest_s)
            if job is None:
                return False
            self._run_in(slot, job)
        return True

    def _run_in(self, slot: Slot, job: Job) -> None:
        attempt = Attempt(self._catalog, job, slot, self._pricing)
        with (
            observed(job, self._catalog, self._metrics, self._clock) as on_stage,
            Lease(
                self._catalog,
                job,
                self._lease_s,
                self._clock,
                self._stopping,
                on_stage,
                attempt.must_make_way,
            ) as lease,
        ):
            logger.info("job %s: begun, video=%s attempt=%d", job.id, job.video_id, job.attempts)
            self._see_through(job, lease, attempt)

    def _has_room(self) -> bool:
        """Whether the disk is not too full for another job; said once when that changes."""
        try:
            self._pipeline.media.check_free_space(0)
        except StorageFull:
            if self._had_room:
                logger.warning("the disk of the data folder is too full: no job is begun")
            self._had_room = False
        else:
            if not self._had_room:
                logger.info("the disk of the data folder has room again")
            self._had_room = True
        return self._had_room

    def _see_through(self, job: Job, lease: Lease, attempt: Attempt) -> None:
        began = self._clock.monotonic()
        try:
            failpoints.hit("job_claimed")
            segments = self._pipeline.run(job, lease, attempt.probed)
        except Interrupted:
            self._give_back(job, lease, attempt)
        except (LeaseLost, NotFound):
            self._abandon(job)
        except DecoderLost as error:
            self._try_again(job, lease, attempt, error)
        except (VideoError, ContentMissing, VectorsOfAnotherModel) as error:
            self._fail(job, lease, error.code, str(error), retry=False)
        except Exception as error:  # one job must not end the worker
            if is_disk_full(error):
                self._postpone(job, lease)
                return
            if (shortage := memory_shortage(error)) is not None:
                logger.warning("job %s: %s", job.id, shortage, exc_info=error)
                of_gpu = isinstance(shortage, GpuOutOfMemory)  # where every segment takes as much
                self._fail(
                    job, lease, shortage.code, str(shortage), retry=True, from_outside=of_gpu
                )
                return
            logger.exception("job %s: failed unexpectedly", job.id)
            message = (
                f"Indexing failed unexpectedly ({type(error).__name__}); see the worker's log."
            )
            self._fail(job, lease, "ingest_failed", message, retry=True)
        else:
            attempt.succeeded()
            seconds = self._clock.monotonic() - began
            logger.info("job %s: succeeded, segments=%d seconds=%.2f", job.id, segments, seconds)

    def _give_back(self, job: Job, lease: Lease, attempt: Attempt) -> None:
        if lease.lost:
            self._abandon(job)
            return
        why = "the worker is stopping"
        if attempt.must_make_way():
            attempt.made_way(lease.share)
            why = "it is long and makes way for short ones"
        if self._catalog.release_job(job.id, lease.token):
            logger.info("job %s: back in the queue, %s", job.id, why)

    def _try_again(self, job: Job, lease: Lease, attempt: Attempt, error: DecoderLost) -> None:
        """Nothing is known of the file; more attempts are left where something else did it."""
        if lease.should_stop():  # the fork server ends with the worker
            self._give_back(job, lease, attempt)
        else:
            self._fail(
                job, lease, error.code, str(error), retry=True, from_outside=error.from_outside
            )

    def _fail(
        self,
        job: Job,
        lease: Lease,
        code: str,
        message: str,
        *,
        retry: bool,
        from_outside: bool = False,
    ) -> None:
        try:
            after = self._catalog.fail_job(
                job.id,
                lease.token,
                code=code,
                message=message,
                retry=retry,
                from_outside=from_outside,
            )
        except (LeaseLost, NotFound):
            self._abandon(job)
        else:
            logger.info("job %s: %s, code=%s message=%s", job.id, after.status, code, message)

    def _postpone(self, job: Job, lease: Lease) -> None:
        """Return the job to the queue: the disk is full, which is not the job's fault."""
        self._pipeline.media.reserve.give_up_if_needed()  # this is written down, too
        try:
            self._catalog.postpone_job(
                job.id,
                lease.token,
                code=StorageFull.code,
                message="The data folder's disk is full; the job goes on once there is room.",
                wait_s=STORAGE_FULL_WAIT_S,
            )
        except (LeaseLost, NotFound):
            self._abandon(job)
        else:
            logger.warning("job %s: put off, the data folder's disk is full", job.id)

    def _abandon(self, job: Job) -> None:
        """The job is no longer ours; if its video is gone, so are the pictures just written."""
        logger.info("job %s: canceled or taken over, its work is dropped", job.id)
        try:
            self._catalog.get_video(job.collection, job.video_id)
        except NotFound:
            self._pipeline.media.remove_thumbnails(job.video_id)
