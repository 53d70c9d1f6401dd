"""Self-repair: segments whose stored data cannot be read are counted and ingested again.

A search leaves them out; the video they were made from is still there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from prometheus_client import Counter

from app.catalog import Catalog
from app.catalog.records import SegmentOfVideo
from app.model_api.messages import Flags

logger = logging.getLogger(__name__)


def rebuild(catalog: Catalog, video_ids: Iterable[str], what: str) -> None:
    """Queue an ingest of videos of which `what` is damaged, unless one waits already."""
    for video_id in dict.fromkeys(video_ids):
        job_id = catalog.queue_rebuild(video_id)
        logger.error(
            "%s of %s cannot be read; %s",
            what,
            video_id,
            f"{job_id} rebuilds it" if job_id else "no new job was queued, see its latest",
        )


class Damage:
    """Tells segments that were deleted a moment ago from those whose tensors are damaged."""

    def __init__(self, catalog: Catalog, counter: Counter) -> None:
        self._catalog = catalog
        self._counter = counter

    def count(self, found: Sequence[SegmentOfVideo], damaged: Flags) -> int:
        """How many of the segments that the worker could not read are still in the catalog.

        damaged : bool [K], in the order of `found`

        Their videos are rebuilt. The others were deleted while they were scored.
        """
        rows = [item.segment.row for item, bad in zip(found, damaged, strict=True) if bad]
        there = self._catalog.existing_segments(rows)
        self._counter.inc(len(there))
        rebuild(self._catalog, there.values(), "a tensor")
        return len(there)
