"""Stalled queue: warns in the log while videos wait and no worker ingests any."""

from __future__ import annotations

import logging
from typing import Final

from app.catalog import Catalog
from app.clock import Clock

PATIENCE_S: Final = 60.0  # a worker looks into the queue far more often
_log = logging.getLogger(__name__)


def warn_of_stalled_queue(catalog: Catalog, clock: Clock) -> None:
    """Warn if a job could have been begun a minute ago and none is running."""
    backlog = catalog.backlog()
    since = catalog.due_since()
    if backlog.running or since is None:
        return
    waited_s = (clock.now() - since).total_seconds()
    if waited_s >= PATIENCE_S:
        _log.warning(
            "%d videos wait to be indexed, the first for %.0f s, and no worker ingests any: is one "
            "running whose XCLIP_MAX_INGESTS is not 0?",
            backlog.queued,
            waited_s,
        )
