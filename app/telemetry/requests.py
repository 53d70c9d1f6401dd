"""Request telemetry: an id for each request; counts, times, logs and traces it.

Pure ASGI, outermost of our own layers, so that the last-resort answer to a bug also carries the
request's id and is counted.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem_response, unexpected_problem
from app.telemetry.context import REQUEST_ID_HEADER, for_request
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import serving

CLIENT_GONE = 499  # no client reads this status; it keeps aborted requests apart in the counts
_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_log = logging.getLogger("app.requests")
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # requested every few seconds


class Telemetry:
    """ASGI layer: request id, metrics, and the last-resort answer to unexpected errors."""

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
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        with for_request(request_id), serving(_method(scope), headers) as span:
            status = await self._serve(scope, receive, send, request_id)
            route = _route(scope)
            span.update_name(f"{_method(scope)} {route}")
            span.set_attributes({"http.route": route, "http.response.status_code": status})

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
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
            if status:  # a part of the answer is sent: the server has to close the connection
                raise
            await problem_response(unexpected_problem(), request_id)(scope, receive, send_with_id)
        finally:
            self._record(scope, status, self._clock() - started)
        return status

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method, route = _method(scope), _route(scope)
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.request_seconds.labels(method, route).observe(seconds)
        level = logging.DEBUG if route in _PROBES else logging.INFO
        fields = {"method": method, "route": route, "status": status, "seconds": round(seconds, 4)}
        _log.log(level, "%s %s %s %.3fs", method, route, status, seconds, extra={"fields": fields})


# A client may invent methods; each would be a new time series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "other"


def _route(scope: Scope) -> str:
    """The route's template: each full path would be a time series of its own."""
    template: str = getattr(scope.get("route"), "path_format", "none")
    return template


def _request_id(headers: Headers) -> str:
    """The caller's id if it is harmless in logs and headers, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if _ACCEPTED_ID.match(given) else f"req_{secrets.token_hex(10)}"
