"""HTTP/1.1 protocol: one connection, with a timeout for every step.

uvicorn's protocol waits without limit for a head, a body, or a client that reads its answer, and
its parser takes heads of any size. Here each of these has a limit. The clock runs only while the
client has to act: a slow handler, a body that the application does not read yet and a download that
makes progress have no timeout.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, ClassVar

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.client_address import client_network
from app.errors import AppError, MalformedRequest, RequestTimeout, TooManyConnections
from app.server.answer_progress import AnswerProgress
from app.server.connections import ConnectionRegistry
from app.server.limits import (
    ANSWER_LOOKS,
    LINGER_BYTES,
    LINGER_S,
    MAX_HEAD_BYTES,
    MAX_HEAD_LINES,
    MAX_PIPELINED,
    PROBE_PATHS,
    ConnectionLimits,
)
from app.server.raw_responses import refusal
from app.server.request_head import head_error, head_too_large

logger = logging.getLogger(__name__)

_TCP_INFO_BYTES = 128
_TCP_INFO_ACKED = 120  # offset of tcpi_bytes_acked in Linux's struct tcp_info


class _Phase(Enum):
    IDLE = auto()  # between the end of one message and the first byte of the next
    HEAD = auto()
    BODY = auto()
    REFUSED = auto()  # what still comes is dropped


class _Flow(FlowControl):
    """Flow control that says when reading goes on."""

    def __init__(self, transport: asyncio.Transport, on_resume: Callable[[], None]) -> None:
        super().__init__(transport)
        self._on_resume = on_resume

    def resume_reading(self) -> None:
        if self.read_paused:
            super().resume_reading()
            self._on_resume()


class GuardedProtocol(HttpToolsProtocol):
    """One connection; `server_protocol` makes the class for one server."""

    limits: ClassVar[ConnectionLimits]
    registry: ClassVar[ConnectionRegistry]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase = _Phase.IDLE
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._progress = AnswerProgress(0, 0.0, 0, 0.0)
        self._probes_only = False
        self._running: RequestResponseCycle | None = None
        self._cause: AppError | None = None
        self._refusal: AppError | None = None
        self._heard = False  # a byte of the head that is awaited has come
        self._head_bytes = 0  # of whole lines
        self._head_lines = 0
        self._unparsed_bytes = 0  # since a head began or ended, or the last byte of a body
        self._period_bytes = 0
        self._dropped_bytes = 0  # since an answer that came before the end of its request

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection; at the limit, close an idle one to make room for it."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self._on_resume)
        if self._is_too_many():
            self._probes_only = self.registry.admit_probe(self)
            if not self._probes_only:
                self._refuse(_too_many())
                return
        self._await_head()

    def _is_too_many(self) -> bool:
        """Whether there is no room for this connection, not even that of a silent one."""
        limits, registry = self.limits, self.registry
        address = client_network(self.client[0] if self.client else "")
        of_address = registry.open(self, address)
        if of_address > limits.max_connections_per_address and not registry.make_room(address):
            return True
        return len(self.connections) > limits.max_connections and not registry.make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and tell the running request that its client has gone."""
        self.registry.close(self)
        for timer in (self._timer, self._stall):
            if timer is not None:
                timer.cancel()
        self._timer = self._stall = None
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def evict(self) -> None:
        """End at once; every request of this connection has been answered."""
        self.connections.discard(self)
        self.transport.abort()

    # What the client sends

    def data_received(self, data: bytes) -> None:
        """Parse, and count what is neither a complete head nor a body.

        The parser keeps an unfinished line of a head, or of the trailers behind a chunked body,
        and shows it to no callback before its end.
        """
        if self._phase is _Phase.REFUSED:
            self._drop(len(data))
            return
        if self._phase is _Phase.IDLE:  # even if only line breaks come, the clock runs
            self._await_head()
        self._heard = True
        self._unparsed_bytes += len(data)  # until a callback says what it is
        super().data_received(data)
        reading = self._phase in (_Phase.HEAD, _Phase.BODY)
        if reading and self._unparsed_bytes > MAX_HEAD_BYTES:
            self._refuse(head_too_large())

    def send_400_response(self, msg: str) -> None:
        """The parser gave up: answer what a callback found wrong, or that this is not HTTP."""
        self._refuse(self._cause or MalformedRequest("The bytes received are not HTTP."))

    def on_message_begin(self) -> None:
        """The first byte of a request line."""
        super().on_message_begin()
        self._head_bytes = self._head_lines = self._unparsed_bytes = 0
        if self._phase is not _Phase.HEAD:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole line; those behind a chunked body are counted and dropped."""
        self._head_lines += 1
        self._count(len(name) + len(value) + 4)
        if self._phase is _Phase.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: from now on the timeouts of the body apply."""
        self._cause = self._head_error()
        if self._cause is not None:
            raise self._cause
        super().on_headers_complete()
        # no other protocol is supported: stop parsing
        if self.parser.should_upgrade() or self._probes_only:
            self.cycle.keep_alive = False
        self.registry.leave(self)
        self._unparsed_bytes = 0
        self._phase = _Phase.BODY
        self._begin_period()

    def _head_error(self) -> AppError | None:
        if len(self.pipeline) >= MAX_PIPELINED:
            return TooManyConnections("Too many requests are sent ahead of their answers.")
        if self._probes_only and self.url.partition(b"?")[0] not in PROBE_PATHS:
            return _too_many()
        return head_error(self.parser.get_http_version(), self.headers)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._unparsed_bytes = 0
        super().on_body(body)
        if self.cycle.response_complete:
            self._drop(len(body))
        else:
            self._period_bytes += len(body)

    def on_message_complete(self) -> None:
        """All of the request has come."""
        super().on_message_complete()
        self._phase = _Phase.IDLE
        self._arm(None)
        if self.cycle.response_complete:  # an early answer, whose request has ended only now
            self._keep_alive()

    # What it is sent

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """An answer has been written; the client may still have to send, and to read."""
        super().on_response_complete()
        self._watch_answer()
        if self.transport.is_closing() or self._in_work():
            return
        if self._refusal is not None:
            self._write_refusal(self._refusal)
        elif self._phase is _Phase.BODY:
            self._unset_keepalive_if_required()
            self._linger()
        else:
            self.registry.wait(self)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        super().pause_writing()
        self._watch_answer()

    # Clocks

    def _await_head(self) -> None:
        self._unset_keepalive_if_required()
        self._phase = _Phase.HEAD
        self._heard = False
        self._arm(self.loop.time() + self.limits.head_timeout_s)
        if not self._in_work():
            self.registry.wait(self)

    def _keep_alive(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
        self.registry.wait(self)

    def _begin_period(self) -> None:
        self._period_bytes = 0
        self._arm(self.loop.time() + self.limits.body_timeout_s)

    def _on_resume(self) -> None:
        if self._phase is _Phase.BODY and not self.cycle.response_complete:
            self._begin_period()

    def _arm(self, deadline: float | None) -> None:
        """Look again at `deadline`. A timer that is set for earlier finds the new one then."""
        self._deadline = deadline
        if deadline is None:
            return
        if self._timer is not None and self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self.loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None or self.transport.is_closing():
            return
        if self.loop.time() < self._deadline:
            self._arm(self._deadline)
        elif self._phase is _Phase.HEAD:
            self._end_head()
        elif self._phase is _Phase.BODY:
            self._end_period()
        else:
            self.transport.abort()

    def _end_head(self) -> None:
        if self.flow.read_paused:  # the service itself has paused reading
            self._arm(self.loop.time() + self.limits.head_timeout_s)
        elif self._heard:
            seconds = self.limits.head_timeout_s
            self._refuse(RequestTimeout(f"The head was not complete after {seconds:g} s."))
        else:
            self.transport.abort()

    def _end_period(self) -> None:
        limits = self.limits
        our_turn = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self.cycle.response_complete:
            self.transport.abort()  # it was answered, and still sends what is not read
        elif our_turn or self._period_bytes >= limits.body_bytes_per_s * limits.body_timeout_s:
            self._begin_period()
        else:
            self._refuse(
                RequestTimeout(
                    f"The body arrived with fewer than {limits.body_bytes_per_s} bytes a second "
                    f"for {limits.body_timeout_s:g} s."
                )
            )

    def _watch_answer(self) -> None:
        # a transport that is closing still sends what it holds, to a client that may not take it
        if self._stall is None and self.transport.get_write_buffer_size():
            now, taken = self.loop.time(), self._taken()
            self._progress = AnswerProgress(taken, now, taken, now)
            self._look_again()

    def _look_again(self) -> None:
        pause_s = self.limits.answer_timeout_s / ANSWER_LOOKS
        self._stall = self.loop.call_later(pause_s, self._look_at_reader)

    def _look_at_reader(self) -> None:
        self._stall = None
        if not self.transport.get_write_buffer_size():
            return
        if self._progress.goes_on(self._taken(), self.loop.time(), self.limits):
            self._look_again()
        else:
            logger.info("closed: the client does not read its answer, client=%s", self.client)
            self.transport.abort()

    def _taken(self) -> int:
        """Bytes that the client has taken off the wire; the socket's buffers are not progress."""
        connected: socket.socket = self.transport.get_extra_info("socket")
        facts = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        (taken,) = struct.unpack_from("=Q", facts, _TCP_INFO_ACKED)
        return int(taken)

    # Refusals

    def _in_work(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES or self._head_lines > MAX_HEAD_LINES:
            self._cause = head_too_large()
            raise self._cause

    def _refuse(self, error: AppError) -> None:
        """End the connection with `error`, once earlier requests have been answered."""
        logger.info("refused: %s client=%s", error.code, self.client)
        own = self.cycle if self._phase is _Phase.BODY else None
        self._phase = _Phase.REFUSED
        self._arm(None)
        self._refusal = error
        if own is not None:
            own.disconnected = True
            own.message_event.set()
            self.pipeline = deque(entry for entry in self.pipeline if entry[0] is not own)
        if own is not None and own is self._running:
            if own.response_started:
                self.transport.abort()
                return
        elif self._in_work():
            return
        self._write_refusal(error)

    def _write_refusal(self, error: AppError) -> None:
        self.connections.discard(self)
        if not self.registry.linger(self):
            self.transport.abort()
            return
        self.flow.resume_reading()
        self.transport.write(refusal(error, self.server_state.default_headers))
        self.transport.write_eof()
        self._linger()

    def _linger(self) -> None:
        """Let the client send a little more, so that it comes to read its answer."""
        self._dropped_bytes = 0
        self._arm(self.loop.time() + LINGER_S)

    def _drop(self, size: int) -> None:
        self._dropped_bytes += size
        if self._dropped_bytes > LINGER_BYTES:
            self.transport.abort()


def _too_many() -> TooManyConnections:
    return TooManyConnections("All connections are in use. Try again in a moment.")


def server_protocol(limits: ConnectionLimits) -> type[GuardedProtocol]:
    """The protocol of one server, whose connections share one registry."""

    class ServerProtocol(GuardedProtocol):
        """The protocol with limits and a registry of its own."""

    ServerProtocol.limits = limits
    ServerProtocol.registry = ConnectionRegistry()
    return ServerProtocol
