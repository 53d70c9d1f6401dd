"""Listening socket: serves one ASGI application on a port until SIGTERM or SIGINT."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from types import FrameType
from typing import ClassVar

import uvicorn
from starlette.types import ASGIApp

from app.server.http_protocol import server_protocol
from app.server.limits import ConnectionLimits
from app.server.stop_signals import leave, on_stop_signals
from app.settings import Settings

logger = logging.getLogger(__name__)


class PortBusy(Exception):
    """Another process listens on the port already; the message names it and the way out."""

    code: ClassVar[str] = "port_busy"


def bind(host: str, port: int) -> socket.socket:
    """A listening socket on `host` and `port`.

    It is bound before anything slow happens, so a busy port is known at once.

    Raises
    ------
    PortBusy
        If the address is taken.
    OSError
        If the address is not available for another reason, such as a host that is not this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortBusy(
                f"Port {port} on {host} is in use by another process. Stop that process or choose "
                "another port with XCLIP_PORT (the worker's is XCLIP_WORKER_PORT)."
            ) from error
        raise
    return listener


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How `app` is served: by our own protocol only, which has a timeout for every step."""
    return uvicorn.Config(
        app,
        http=server_protocol(ConnectionLimits.of(settings)),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,  # clients need not know it, and attackers must not
        timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]  # any seconds do
        # a connection that neither sends nor ends must not keep the process alive for ever
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace_s)),
    )


def run_app(
    app: ASGIApp,
    listener: socket.socket,
    settings: Settings,
    *,
    on_stop: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight get `shutdown_grace_s` to end.

    `on_stop` is called when the signal arrives, before the requests have ended. A second signal
    ends the process at once, also when it comes after the return.
    """
    server = _Server(server_config(app, settings), on_stop or (lambda: None))
    # Before uvicorn takes the signals over, one ends it once it runs. It raises them again when
    # it has stopped: under the default action the process would then die instead of returning.
    on_stop_signals(server.stop)
    logger.info("listening: address=%s port=%d", *listener.getsockname()[:2])
    server.run(sockets=[listener])
    on_stop_signals(leave)
    logger.info("stopped")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def stop(self) -> None:
        """Stop at the first opportunity, once; for a signal that comes before or after serving."""
        if not self.should_exit:
            self._on_stop()
            self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            leave()
        self._on_stop()
        super().handle_exit(sig, frame)
