"""Ingest attempt: one try at a job in its slot, what it will take, and when it must make way."""

from __future__ import annotations

import logging
from typing import Final

from app.catalog import Catalog
from app.catalog.records import Job
from app.worker.errors import Interrupted
from app.worker.pricing import Pricing, Workload
from app.worker.slots import LONG_S, Slot
from xclip.video.probe import VideoInfo

logger = logging.getLogger(__name__)

_SURELY_LONG_S: Final = 2 * LONG_S


class Attempt:
    """Prices its job as soon as the file has been probed, and teaches the prices how it went."""

    def __init__(self, catalog: Catalog, job: Job, slot: Slot, pricing: Pricing) -> None:
        self._catalog = catalog
        self._job = job
        self._slot = slot
        self._pricing = pricing
        self._work: Workload | None = None

    def must_make_way(self) -> bool:
        """Whether the job is long and in a slot for short ones."""
        return self._slot.must_make_way

    def probed(self, info: VideoInfo, segments: int) -> None:
        """Price the job; raises Interrupted if it must make way for that."""
        self._work = Workload(info.width * info.height * info.frame_count, segments)
        self._note(self._pricing.price_s(self._work))
        if self.must_make_way():
            raise Interrupted("A long ingest goes back to the queue, for a slot of its kind.")

    def succeeded(self) -> None:
        """All of the work is done."""
        if self._work is not None:
            self._pricing.learn(self._work, self._slot.elapsed_s)

    def made_way(self, share: float) -> None:
        """If it took longer than its price, note what it takes, of which that share is done."""
        if self._slot.elapsed_s <= self._slot.price_s:
            return
        by_progress_s = self._slot.elapsed_s / share if share > 0 else 0.0
        self._note(max(self._slot.price_s, by_progress_s, _SURELY_LONG_S))

    def _note(self, price_s: float) -> None:
        self._slot.price_s = price_s
        self._catalog.price_job(self._job.id, self._job.lease_token or "", price_s)
        logger.info("job %s: priced, seconds=%.1f", self._job.id, price_s)
