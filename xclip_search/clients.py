"""HTTP clients, blocking and asynchronous, with the same operations."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import anyio.to_thread
import httpx

from xclip_search import library, schemas, searches, uploads
from xclip_search.addresses import is_loopback, without_secrets
from xclip_search.bindings import aiterated, awaitable, blocking, iterated
from xclip_search.errors import ApiError, ServiceAway
from xclip_search.retries import retried
from xclip_search.steps import (
    Call,
    Copy,
    FileChunk,
    Flow,
    Pause,
    content_of,
    credentials,
    parse,
    unsendable,
)

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE, KEY_VARIABLE = "XCLIP_URL", "XCLIP_API_KEY"
PATIENCE_S = 60.0
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_UNHURRIED = httpx.Timeout(None, connect=5.0)


class _Connection:
    """What both clients know of the service, and how they take what httpx raises."""

    def __init__(self, url: str | None, key: str | None, patience_s: float) -> None:
        url = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        key = os.environ.get(KEY_VARIABLE) or None if key is None else key
        base = _parse(url.rstrip("/"))
        login = (base.username, base.password) if base.userinfo else None
        base = base.copy_with(userinfo=b"")  # httpx logs the URL of every request
        self.url = without_secrets(str(base).rstrip("/"))
        self.patience_s = patience_s
        self._answered = False
        self._choices: dict[str, Any] = {
            "base_url": base,
            "auth": login,
            "headers": credentials(key),
            "timeout": _TIMEOUT,
            "trust_env": not is_loopback(base.host),  # no proxy between a machine and itself
        }

    def __repr__(self) -> str:
        # without the key or a password: what is printed is also logged
        return f"{type(self).__name__}({self.url!r})"

    def _arguments(self, call: Call, content: dict[str, Any]) -> dict[str, Any]:
        timeout = {"timeout": _UNHURRIED} if call.unhurried else {}
        params = call.params or None  # even empty ones would replace those of a URL
        return {"params": params, "headers": call.headers, **content, **timeout}

    def _note(self, answer: httpx.Response) -> httpx.Response:
        self._answered = True
        return answer

    def _away(self, error: httpx.TransportError) -> ServiceAway:
        """The error in words. If no service ever answered, the address is wrong."""
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return ServiceAway(
                f"Nothing answers at {self.url}. Start the service there with "
                "`xclip-search serve`, or give the URL of another.",
                passing=self._answered,
            )
        if isinstance(error, httpx.TimeoutException):
            return ServiceAway(f"{self.url} did not answer in time.")
        passing = not isinstance(error, httpx.UnsupportedProtocol)
        return ServiceAway(
            f"The connection to {self.url} failed: {_sentence(error)}", passing=passing
        )


def _parse(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        shown = without_secrets(url)
        escapes = "in a user or a password, / is written as %2F, ? as %3F and # as %23."
        why = _sentence(error) if shown == url else escapes
        raise ServiceAway(f"{shown!r} is not a URL: {why}") from None


@contextmanager
def _proxies_read() -> Iterator[None]:
    """Say which variable is wrong; the reason may hold a part of the proxy's password."""
    try:
        yield
    except (ValueError, ImportError, httpx.InvalidURL):
        raise ServiceAway(
            "The proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names cannot be used."
        ) from None


def _sentence(error: Exception) -> str:
    """A library's message as the end of a sentence, which some end themselves."""
    return f"{str(error).rstrip('.')}."


def _is_ready(answer: httpx.Response) -> bool:
    """Whether the API says so; a worker's own probe answers 200 too, and is no service."""
    try:
        return answer.is_success and parse(answer, schemas.ReadyAnswer).ready
    except ApiError:
        return False


async def _read(call: Call) -> Call:
    """The same call with its chunk read, in a thread: disks may be slow."""
    if isinstance(call.body, FileChunk):
        return replace(call, body=await anyio.to_thread.run_sync(call.body.read))
    return call


class Client(_Connection):
    """The service at `url`, spoken to with `key` if there is one; every call waits for its answer.

    url, key : left out, what XCLIP_URL and XCLIP_API_KEY say; without them this machine and no key
    patience_s : seconds that a call may wait to be sent again while the service is busy or away
    transport : replaces the network, such as to speak to an application in the same process

    Raises ApiError. To be used in a `with` block, or closed.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(url, key, patience_s)
        with _proxies_read():
            self._http = httpx.Client(transport=transport, **self._choices)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def is_ready(self) -> bool:
        """Whether the service can do its work now; False also while nothing answers."""
        try:
            return _is_ready(self._http.get("/readyz"))
        except httpx.TransportError:
            return False

    def run(self, flow: Flow[T]) -> T:
        """Carry an operation out."""
        steps = retried(flow, self.patience_s)
        answer: httpx.Response | None = None
        error: Exception | None = None
        while True:
            try:
                step = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
            answer, error = None, None
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                continue
            try:
                if isinstance(step, Copy):
                    step.run()
                else:
                    answer = self._request(step)
            except (ApiError, OSError) as failed:
                error = failed

    def _request(self, call: Call) -> httpx.Response:
        with content_of(call) as content:
            arguments = self._arguments(call, content)
            try:
                return self._note(self._http.request(call.method, call.path, **arguments))
            except httpx.TransportError as error:
                raise self._away(error) from None
            except UnicodeEncodeError:
                raise unsendable() from None

    models = blocking(library.models)
    removals = blocking(library.removals)
    collections = iterated(library.collections_page)
    collection = blocking(library.collection)
    put_collection = blocking(library.put_collection)
    describe_collection = blocking(library.describe_collection)
    delete_collection = blocking(library.delete_collection)
    videos = iterated(library.videos_page)
    video = blocking(library.video)
    describe_video = blocking(library.describe_video)
    delete_video = blocking(library.delete_video)
    segments = blocking(library.segments)
    embeddings = blocking(library.embeddings)
    picture = blocking(library.picture)
    upload = blocking(uploads.upload)
    upload_url = blocking(uploads.upload_url)
    jobs = iterated(library.jobs_page)
    job = blocking(library.job)
    wait = blocking(library.wait)
    cancel = blocking(library.cancel)
    retry = blocking(library.retry)
    search = blocking(searches.search)
    search_all = iterated(searches.search_all_page)
    search_batch = blocking(searches.search_batch)
    search_clip = blocking(searches.search_clip)
    heatmap = blocking(searches.heatmap)
    classify = blocking(searches.classify)
    classify_file = blocking(searches.classify_file)
    label_sets = iterated(library.label_sets_page)
    label_set = blocking(library.label_set)
    put_label_set = blocking(library.put_label_set)
    delete_label_set = blocking(library.delete_label_set)


class AsyncClient(_Connection):
    """The same as `Client` for asyncio and trio: every call is awaited, every list `async for`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(url, key, patience_s)
        with _proxies_read():
            self._http = httpx.AsyncClient(transport=transport, **self._choices)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def is_ready(self) -> bool:
        """Whether the service can do its work now; False also while nothing answers."""
        try:
            return _is_ready(await self._http.get("/readyz"))
        except httpx.TransportError:
            return False

    async def run(self, flow: Flow[T]) -> T:
        """Carry an operation out."""
        steps = retried(flow, self.patience_s)
        answer: httpx.Response | None = None
        error: Exception | None = None
        while True:
            try:
                step = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
            answer, error = None, None
            if isinstance(step, Pause):
                await anyio.sleep(step.seconds)
                continue
            try:
                if isinstance(step, Copy):
                    await anyio.to_thread.run_sync(step.run)
                else:
                    answer = await self._request(await _read(step))
            except (ApiError, OSError) as failed:
                error = failed

    async def _request(self, call: Call) -> httpx.Response:
        with content_of(call) as content:
            arguments = self._arguments(call, content)
            try:
                return self._note(await self._http.request(call.method, call.path, **arguments))
            except httpx.TransportError as error:
                raise self._away(error) from None
            except UnicodeEncodeError:
                raise unsendable() from None

    models = awaitable(library.models)
    removals = awaitable(library.removals)
    collections = aiterated(library.collections_page)
    collection = awaitable(library.collection)
    put_collection = awaitable(library.put_collection)
    describe_collection = awaitable(library.describe_collection)
    delete_collection = awaitable(library.delete_collection)
    videos = aiterated(library.videos_page)
    video = awaitable(library.video)
    describe_video = awaitable(library.describe_video)
    delete_video = awaitable(library.delete_video)
    segments = awaitable(library.segments)
    embeddings = awaitable(library.embeddings)
    picture = awaitable(library.picture)
    upload = awaitable(uploads.upload)
    upload_url = awaitable(uploads.upload_url)
    jobs = aiterated(library.jobs_page)
    job = awaitable(library.job)
    wait = awaitable(library.wait)
    cancel = awaitable(library.cancel)
    retry = awaitable(library.retry)
    search = awaitable(searches.search)
    search_all = aiterated(searches.search_all_page)
    search_batch = awaitable(searches.search_batch)
    search_clip = awaitable(searches.search_clip)
    heatmap = awaitable(searches.heatmap)
    classify = awaitable(searches.classify)
    classify_file = awaitable(searches.classify_file)
    label_sets = aiterated(library.label_sets_page)
    label_set = awaitable(library.label_set)
    put_label_set = awaitable(library.put_label_set)
    delete_label_set = awaitable(library.delete_label_set)
