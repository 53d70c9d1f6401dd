"""Call telemetry: counts, times, logs and traces the worker's calls from the API.

The request id that a call brings is the one of the person's request, so that the log lines of both
processes can be put together.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry.context import REQUEST_ID_HEADER, for_request
from app.telemetry.metrics import WorkerMetrics
from app.telemetry.tracing import serving

_log = logging.getLogger("app.worker.calls")
_MODEL_CALLS: Final = frozenset({"/text", "/score", "/embed", "/clip", "/check"})
_PROBES: Final = frozenset({"/livez", "/readyz", "/model", "/metrics"})


class CallTelemetry:
    """ASGI layer around the worker's application."""

    def __init__(self, app: ASGIApp, metrics: WorkerMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"] if scope["path"] in _MODEL_CALLS | _PROBES else "other"
        with for_request(headers.get(REQUEST_ID_HEADER)), serving(f"worker {path}", headers):
            await self._serve(path, scope, receive, send)

    async def _serve(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0
        began = time.perf_counter()

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        finally:
            seconds = time.perf_counter() - began
            self._metrics.calls.labels(path, str(status)).inc()
            self._metrics.call_seconds.labels(path).observe(seconds)
            fields = {"call": path, "status": status, "seconds": round(seconds, 4)}
            level = logging.INFO if path in _MODEL_CALLS else logging.DEBUG
            _log.log(level, "%s %s %.3fs", path, status, seconds, extra={"fields": fields})
