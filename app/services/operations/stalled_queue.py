"""Stalled queue: warns in the log while videos wait and no worker ingests any."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

from app.catalog import Catalog
from app.clock import Clock

PATIENCE_S: Final = 60.0  # a worker looks into the queue far more often
_log = logging.getLogger(__name__)


class StalledQueueWarning:
    """Remembers for how long the same job has been the first, by monotonic time."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._stands: tuple[datetime, float] | None = None

    def look(self) -> None:
        """Warn if a job could have been begun a minute ago, as was seen, and none is running."""
        backlog = self._catalog.backlog()
        since = self._catalog.due_since()
        if backlog.running or since is None:
            self._stands = None
            return
        at = self._clock.monotonic()
        if self._stands is None or self._stands[0] != since:  # another job is the first by now
            self._stands = since, at
        waited_s = at - self._stands[1]
        if waited_s >= PATIENCE_S:
            _log.warning(
                "%d videos wait to be indexed, the first for more than %.0f s, and no worker "
                "ingests any: is one running whose XCLIP_MAX_INGESTS is not 0?",
                backlog.queued,
                waited_s,
            )
