"""Quota: what one key may hold of the queue and of the disk, which all keys share."""

from __future__ import annotations

from app.catalog import Catalog
from app.errors import QueueFull, QuotaExceeded, TooManyUploads
from app.settings import Settings

_OF_THE_QUEUE = 0.5  # one key's share of it; the rest is for the others
_RETRY_AFTER_S = 60.0


class Quotas:
    """Asked before a file is received."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog = catalog
        self._max_jobs = settings.max_queued_jobs
        self._max_wait_s = settings.max_queue_wait_s
        self._max_failed_bytes = settings.max_failed_bytes
        self._max_open = settings.max_open_uploads

    def check(self, owner: str) -> None:
        """Raise QueueFull or QuotaExceeded if the key may not send another video now."""
        failed_bytes = self._catalog.failed_bytes(owner)
        if failed_bytes > self._max_failed_bytes:
            raise QuotaExceeded(
                f"Videos of this key that failed take {failed_bytes} bytes; the limit is "
                f"{self._max_failed_bytes}. Delete some of them."
            )
        if len(self._catalog.keys_in_force()) > 1:  # who is alone shares with no one
            self._check_share(owner)

    def check_open(self, owner: str) -> int:
        """The bytes that the key's unfinished uploads will take; raises TooManyUploads."""
        count, announced_bytes = self._catalog.unfinished_uploads_of(owner)
        if count >= self._max_open:
            raise TooManyUploads(
                f"This key has {count} unfinished uploads. Finish or delete some of them.",
                _RETRY_AFTER_S,
            )
        return announced_bytes

    def _check_share(self, owner: str) -> None:
        own = self._catalog.backlog(owner)
        too_many = own.queued >= max(1, self._max_jobs * _OF_THE_QUEUE)
        if too_many or own.wait_s > self._max_wait_s * _OF_THE_QUEUE:
            raise QueueFull(
                f"{own.queued} videos of this key wait to be indexed, which is its share of the "
                "queue. Try again later.",
                max(own.seconds_per_job or 1.0, 1.0),
            )
