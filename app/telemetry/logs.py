"""Logs: one line for each event on stderr, as text or JSON.

As text for people, or as JSON objects for collectors. What is done for a request or a job says so:
in text behind the message, in JSON as `request_id` and `job_id`.
"""

from __future__ import annotations

import json
import logging
import time

from app.settings import LogFormat
from app.telemetry.context import current_ids
from app.telemetry.tracing import trace_id
from xclip_search.addresses import without_secrets

# Libraries that report every step they take; only their warnings and errors are logged.
_TALKATIVE = ("alembic", "faiss.loader", "httpx", "uvicorn.error")
_TIME = "%Y-%m-%dT%H:%M:%S"


class _UtcFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's own name
        line = super().formatMessage(record)
        missing = {name: value for name, value in current_ids().items() if value not in line}
        return " ".join([line, *(f"{name}={value}" for name, value in missing.items())])


class _JsonFormatter(logging.Formatter):
    """One JSON object a line; what a message gives as `fields` stands beside it."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": f"{self.formatTime(record, _TIME)}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
            **current_ids(),
            **getattr(record, "fields", {}),
        }
        if (trace := trace_id()) is not None:
            line["trace_id"] = trace
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return without_secrets(json.dumps(line, ensure_ascii=False, default=str))


def configure_logging(level: str, log_format: LogFormat) -> None:
    """Send every logger of this process, uvicorn's included, to stderr from `level` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _JsonFormatter()
        if log_format == "json"
        else _UtcFormatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", _TIME)
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
