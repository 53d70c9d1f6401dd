"""Startup probe server: answers at the worker's address until the model does, with 503 and why.

A checkpoint of gigabytes takes minutes to download. Until then every request, including the probe
`/readyz`, is answered with how far the download is. Only `/livez` is 200 already.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Self

from starlette.datastructures import Headers

from app.clock import Clock
from app.content_length import content_length
from app.worker.error_responses import error_body
from app.worker.errors import ModelLoading

logger = logging.getLogger(__name__)

_TIMEOUT_S = 2.0  # of a caller that sends nothing
_POLL_S = 0.05
LOG_EVERY_S = 5.0
_MEGABYTE = 1_000_000
_BODY_BYTES = 1 << 20
_LOADING = "The model is being loaded."


class StartupServer:
    """Serves on `listener` within its block; the socket stays open for the server that follows."""

    def __init__(self, listener: socket.socket, clock: Clock) -> None:
        self._clock = clock
        self._message = _LOADING
        self._logged_at = float("-inf")
        self._server = _server(listener, self._answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="starting", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()

    def downloaded(self, name: str, done: int, total: int | None) -> None:
        """Say how far the download of a file is: bytes, and all of them if that is known."""
        whole = f" of {total / _MEGABYTE:.0f} MB ({done / total:.0%})" if total else " MB"
        news = f"The model is being downloaded: {name}, {done / _MEGABYTE:.0f}{whole}."
        self._message = _LOADING if done == total else news
        now = self._clock.monotonic()
        if done == total or now - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now
            logger.info("%s", news)

    def _answer(self) -> bytes:
        return error_body(ModelLoading.code, self._message)


class _Server(HTTPServer):
    def handle_error(self, *_: object) -> None:
        """The client has gone before its answer; the next client is answered."""


def _server(listener: socket.socket, body_now: Callable[[], bytes]) -> HTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def handle(self) -> None:
            """Serve one connection. The timeout bounds all of it, or bytes in drops would hold up
            the start for ever."""
            end = threading.Timer(_TIMEOUT_S, self._shut)
            end.daemon = True
            end.start()
            try:
                super().handle()
            finally:
                end.cancel()

        def _shut(self) -> None:
            with suppress(OSError):  # it has ended meanwhile
                self.connection.shutdown(socket.SHUT_RDWR)

        def do_GET(self) -> None:
            # closing a connection with unread bytes would reset it, and the answer would be lost
            self.rfile.read(min(content_length(Headers(dict(self.headers))), _BODY_BYTES))
            alive = self.path == "/livez"
            body = b"" if alive else body_now()
            self.send_response(200 if alive else ModelLoading.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_GET  # noqa: N815  the library's own names

        def log_message(self, *_: object) -> None:
            """Requests while the model loads are not logged."""

    server = _Server(listener.getsockname()[:2], Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_activate()
    return server
