"""SSRF guard at the socket: connects only to checked addresses, and drops slow servers.

A URL's host is resolved once. Every address of the answer must be allowed, and the connection is
made to one of those very addresses, so that no spelling, redirect or second answer of a name
server leads anywhere else. TLS goes on to verify the host's name.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import anyio
import httpcore

from app.fetch.addresses import Address
from app.fetch.errors import UrlNotAllowed, UrlTooSlow, UrlUnreachable
from app.fetch.rules import UrlRules, as_address

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

_MAX_TRIED: Final = 3  # addresses; the time to connect is shared between them

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a server may take: seconds to connect, and bytes within each `window_s` of reading.

    Seconds in which the service itself is busy writing do not count.
    """

    connect_s: float = 10.0
    window_s: float = 30.0
    window_bytes: int = 30 * 1024


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host by the system's resolver; raises OSError."""
    answers = await anyio.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Opens the connections of one download."""

    def __init__(self, rules: UrlRules, resolve: Resolve, pace: Pace) -> None:
        self._rules = rules
        self._resolve = resolve
        self._pace = pace
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers.

        Raises UrlNotAllowed if any of them is not allowed, UrlUnreachable if it has none, and
        httpcore's ConnectError and ConnectTimeout.
        """
        addresses = (await self._allowed_addresses(host, port))[:_MAX_TRIED]
        timeout_s = self._pace.connect_s / len(addresses)
        while True:
            address = addresses.pop(0)
            try:
                stream = await self._network.connect_tcp(str(address), port, timeout_s)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not addresses:
                    raise
            else:
                return PacedStream(stream, self._pace)

    async def _allowed_addresses(self, host: str, port: int) -> list[Address]:
        try:
            with anyio.fail_after(self._pace.connect_s):
                answer = await self._resolve(host, port)
        except TimeoutError:
            raise UrlTooSlow("The name of the host was not resolved in time.") from None
        except OSError:
            raise UrlUnreachable("The name of the host does not resolve.") from None
        addresses: list[Address] = []
        for text in answer:
            address = as_address(text)
            if address is None or not self._rules.allow_address(address, port):
                logger.warning("not fetched: %s resolves to %s, among %d", host, text, len(answer))
                raise UrlNotAllowed("The host has an address that files may not be fetched from.")
            addresses.append(address)
        if not addresses:
            raise UrlUnreachable("The name of the host has no address.")
        return addresses


class PacedStream(httpcore.AsyncNetworkStream):
    """A connection whose reading must go on: too few bytes in a window raise UrlTooSlow."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, pace: Pace) -> None:
        self._stream = stream
        self._pace = pace
        self._waited_s = 0.0
        self._received = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes next; the pace decides how long that may take, not `timeout`."""
        while True:
            started = time.monotonic()
            try:
                chunk = await self._stream.read(max_bytes, self._pace.window_s - self._waited_s)
            except httpcore.ReadTimeout:
                chunk = None
            self._waited_s += time.monotonic() - started
            self._received += len(chunk or b"")
            self._close_window()
            if chunk is not None:
                return chunk

    def _close_window(self) -> None:
        if self._waited_s < self._pace.window_s:
            return
        if self._received < self._pace.window_bytes:
            raise UrlTooSlow(
                f"The server sent less than {self._pace.window_bytes} bytes "
                f"in {self._pace.window_s:g} seconds."
            )
        self._waited_s = 0.0
        self._received = 0

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send the request."""
        await self._stream.write(buffer, self._pace.connect_s)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Go on under TLS, for the host's name."""
        stream = await self._stream.start_tls(ssl_context, server_hostname, self._pace.connect_s)
        return PacedStream(stream, self._pace)

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows of itself."""
        return self._stream.get_extra_info(info)
