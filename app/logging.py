"""How the processes of the service log: one line an event on stderr, with time, level and place."""

from __future__ import annotations

import logging
import time

# Libraries that report every step they take; from them only what went wrong is of interest.
_TALKATIVE = ("alembic", "httpx", "uvicorn.error")


class _UtcFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)


def configure_logging(level: str) -> None:
    """Send every logger of this process, uvicorn's included, to stderr from `level` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _UtcFormatter(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
