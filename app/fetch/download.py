"""Download: one GET of an untrusted URL; follows redirects itself, ignores proxy variables.

Each hop is a connection of its own, checked like the first. Nothing is sent that says more of this
service than its name: no cookies, no credentials, no proxy's, no referrer.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import httpcore
import httpx

from app.fetch.errors import InvalidUrl, UrlNotAllowed, UrlTooSlow, UrlUnreachable
from app.fetch.guard import GuardedNetwork, Pace, Resolve
from app.fetch.rules import UrlRules, is_host

MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way; `name` and `content_type` are the server's claims, nothing more.

    length : what its server declares, in bytes; `chunks` end there or raise UrlUnreachable
    """

    name: str
    content_type: str | None
    length: int | None
    chunks: AsyncIterator[bytes]


class Downloader:
    """Begins downloads under one set of rules."""

    def __init__(self, rules: UrlRules, resolve: Resolve, pace: Pace) -> None:
        self._rules = rules
        self._resolve = resolve
        self._pace = pace

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Trusts what httpx trusts, or SSL_CERT_FILE and SSL_CERT_DIR; made for the first https."""
        return httpx.create_ssl_context()

    @asynccontextmanager
    async def open(self, text: str) -> AsyncIterator[Download]:
        """Follow a URL to its file, and hold the connection while that is read.

        Raises InvalidUrl, UrlNotAllowed, UrlUnreachable and UrlTooSlow, here and from `chunks`.
        """
        url = self._check(_parse(text))
        for _ in range(MAX_REDIRECTS + 1):
            with _network_errors():
                async with self._get(url) as answer:
                    if answer.status not in _REDIRECTS:
                        yield _download(url, answer)
                        return
                    url = self._check(_redirected(url, answer))
        raise UrlUnreachable(f"The URL redirects more than {MAX_REDIRECTS} times.")

    def _check(self, url: httpx.URL) -> httpx.URL:
        """Return the URL if it may be fetched, by what it says; its addresses are checked later."""
        if url.scheme not in _PORTS:
            raise UrlNotAllowed("Only http and https URLs are fetched.")
        if url.userinfo:
            raise UrlNotAllowed("A URL with a user name or password is not fetched.")
        if not is_host(_host(url)):
            raise InvalidUrl("The URL names no host.")
        if not self._rules.allow_host(_host(url), _port(url)):
            raise UrlNotAllowed("The host and port of the URL are not among those fetched from.")
        return url

    @asynccontextmanager
    async def _get(self, url: httpx.URL) -> AsyncIterator[httpcore.Response]:
        connection = httpcore.AsyncHTTPConnection(
            httpcore.Origin(url.raw_scheme, url.raw_host, _port(url)),
            ssl_context=self._tls if url.scheme == "https" else None,
            network_backend=GuardedNetwork(self._rules, self._resolve, self._pace),
        )
        headers = [
            (b"Host", url.netloc),
            (b"User-Agent", b"xclip-search"),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),
            (b"Connection", b"close"),
        ]
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=_port(url), target=url.raw_path
        )
        try:
            async with connection.stream("GET", target, headers=headers) as answer:
                yield answer
        finally:
            await connection.aclose()


def _parse(text: str) -> httpx.URL:
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError):
        raise InvalidUrl("The text is not a URL.") from None


def _redirected(url: httpx.URL, answer: httpcore.Response) -> httpx.URL:
    location = _headers(answer).get("location", "")
    try:
        target = url.join(location)
    except (httpx.InvalidURL, UnicodeError):
        raise UrlUnreachable("The URL redirects to what is not a URL.") from None
    if url.scheme == "https" and target.scheme == "http":
        raise UrlNotAllowed("The URL redirects from https to http.")
    return target


def _download(url: httpx.URL, answer: httpcore.Response) -> Download:
    """What a final answer announces, if it is a whole file in the clear."""
    if answer.status != httpx.codes.OK:
        raise UrlUnreachable(f"The server answered {answer.status}.")
    headers = _headers(answer)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UrlUnreachable("The server sends the file in an encoding that was not requested.")
    framed = "transfer-encoding" in headers  # then a length beside it means nothing
    length = None if framed else headers.get("content-length")
    return Download(
        name=url.path.rsplit("/", 1)[-1],
        content_type=headers.get("content-type"),
        length=None if length is None else int(length),
        chunks=answer.aiter_stream(),
    )


def _headers(answer: httpcore.Response) -> httpx.Headers:
    return httpx.Headers(answer.headers, encoding="latin-1")


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _port(url: httpx.URL) -> int:
    return _PORTS[url.scheme] if url.port is None else url.port


@contextmanager
def _network_errors() -> Iterator[None]:
    """Say in this package's words what httpcore meets on the way."""
    try:
        yield
    except httpcore.TimeoutException:
        raise UrlTooSlow("The server did not answer in time.") from None
    except httpcore.ConnectError as error:
        logger.info("not fetched: %s", error)
        raise UrlUnreachable("The server cannot be reached, or its certificate is bad.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError) as error:
        logger.info("not fetched: %s", error)
        raise UrlUnreachable("The server broke off, or does not speak HTTP.") from None
