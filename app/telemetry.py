"""What an operator sees: an id on every answer and log line, counts and durations at /metrics.

Pure ASGI, outermost of our own layers, so that the last-resort answer to a bug also carries the
request's id and is counted.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem_response, unexpected_problem

REQUEST_ID_HEADER = "x-request-id"
CLIENT_GONE = 499  # nobody reads this status; it keeps aborted requests apart in the counts
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_log = logging.getLogger("app.requests")
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # asked every few seconds


class Metrics:
    """The service's Prometheus metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "xclip_http_requests",
            "HTTP requests by method, route template and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "xclip_http_request_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ["method", "route"],
            registry=self.registry,
        )
        self.upload_bytes = Counter(
            "xclip_upload_bytes", "Bytes of video files accepted.", registry=self.registry
        )
        self.search_seconds = Histogram(
            "xclip_search_seconds",
            "Seconds of each stage of a search.",
            ["stage"],
            registry=self.registry,
        )
        self.damaged_segments = Counter(
            "xclip_damaged_segments",
            "Stored segments that could not be read when they were to be scored.",
            registry=self.registry,
        )


class Telemetry:
    """ASGI layer: request id, metrics, and the last-resort answer to the unforeseen."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        started = self._clock()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except Exception:  # the last resort: a bug fails one request, with its id in the log
            _log.exception("request %s failed", request_id)
            if status:  # half an answer is out: the server has to cut the connection
                raise
            await problem_response(unexpected_problem(), request_id)(scope, receive, send_with_id)
        finally:
            self._record(scope, status, self._clock() - started, request_id)

    def _record(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path_format", "none")
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.request_seconds.labels(method, route).observe(seconds)
        level = logging.DEBUG if route in _PROBES else logging.INFO
        _log.log(level, "%s %s %s %.3fs %s", method, route, status, seconds, request_id)


# A client may invent methods; each would be a new time series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _request_id(headers: Headers) -> str:
    """The caller's id if it is harmless in logs and headers, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if _ACCEPTED_ID.match(given) else f"req_{secrets.token_hex(10)}"
