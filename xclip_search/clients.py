"""HTTP clients, blocking and asynchronous, with the same operations."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import anyio
import anyio.to_thread
import httpx

from xclip_search import library, schemas, searches, uploads
from xclip_search.addresses import is_loopback
from xclip_search.errors import ApiError, ServiceAway
from xclip_search.retries import retried
from xclip_search.steps import (
    Call,
    FileChunk,
    Flow,
    Pause,
    content_of,
    credentials,
    parse,
    unsendable,
)

P = ParamSpec("P")
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
        self.url = url.rstrip("/")
        self.patience_s = patience_s
        self._answered = False
        try:
            host = httpx.URL(self.url).host
        except httpx.InvalidURL as error:
            raise ServiceAway(f"{url!r} is not a URL: {_sentence(error)}") from None
        self._choices: dict[str, Any] = {
            "base_url": self.url,
            "headers": credentials(key),
            "timeout": _TIMEOUT,
            "trust_env": not is_loopback(host),  # no proxy stands between a machine and itself
        }

    def __repr__(self) -> str:
        # without the key: what is printed is also logged
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


def _sentence(error: Exception) -> str:
    """A library's message as the end of a sentence, which some end themselves."""
    return f"{str(error).rstrip('.')}."


def _is_ready(answer: httpx.Response) -> bool:
    """Whether the API says so; a worker's own probe answers 200 too, and is no service."""
    try:
        return answer.is_success and parse(answer, schemas.ReadyAnswer).ready
    except ApiError:
        return False


def _blocking(flow: Callable[P, Flow[T]]) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(flow)
    def run(client: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client.run(flow(*args, **kwargs))

    return run


def _awaitable(flow: Callable[P, Flow[T]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    @functools.wraps(flow)
    async def run(client: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await client.run(flow(*args, **kwargs))

    return run


def _iterated(
    flow: Callable[P, Flow[schemas.Page[T]]],
) -> Callable[Concatenate[Client, P], Iterator[T]]:
    @functools.wraps(flow)
    def run(client: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        while True:
            page = client.run(flow(*args, **kwargs))
            yield from page.items
            if page.next_cursor is None:
                return
            kwargs["cursor"] = page.next_cursor

    return run


def _aiterated(
    flow: Callable[P, Flow[schemas.Page[T]]],
) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    @functools.wraps(flow)
    async def run(client: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        while True:
            page = await client.run(flow(*args, **kwargs))
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            kwargs["cursor"] = page.next_cursor

    return run


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

    models = _blocking(library.models)
    removals = _blocking(library.removals)
    collections = _iterated(library.collections_page)
    collection = _blocking(library.collection)
    put_collection = _blocking(library.put_collection)
    describe_collection = _blocking(library.describe_collection)
    delete_collection = _blocking(library.delete_collection)
    videos = _iterated(library.videos_page)
    video = _blocking(library.video)
    describe_video = _blocking(library.describe_video)
    delete_video = _blocking(library.delete_video)
    segments = _blocking(library.segments)
    embeddings = _blocking(library.embeddings)
    picture = _blocking(library.picture)
    upload = _blocking(uploads.upload)
    upload_url = _blocking(uploads.upload_url)
    jobs = _iterated(library.jobs_page)
    job = _blocking(library.job)
    wait = _blocking(library.wait)
    cancel = _blocking(library.cancel)
    retry = _blocking(library.retry)
    search = _blocking(searches.search)
    search_all = _iterated(searches.results_page)
    search_batch = _blocking(searches.search_batch)
    search_clip = _blocking(searches.search_clip)
    heatmap = _blocking(searches.heatmap)
    classify = _blocking(searches.classify)
    classify_file = _blocking(searches.classify_file)
    label_sets = _iterated(library.label_sets_page)
    label_set = _blocking(library.label_set)
    put_label_set = _blocking(library.put_label_set)
    delete_label_set = _blocking(library.delete_label_set)


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

    models = _awaitable(library.models)
    removals = _awaitable(library.removals)
    collections = _aiterated(library.collections_page)
    collection = _awaitable(library.collection)
    put_collection = _awaitable(library.put_collection)
    describe_collection = _awaitable(library.describe_collection)
    delete_collection = _awaitable(library.delete_collection)
    videos = _aiterated(library.videos_page)
    video = _awaitable(library.video)
    describe_video = _awaitable(library.describe_video)
    delete_video = _awaitable(library.delete_video)
    segments = _awaitable(library.segments)
    embeddings = _awaitable(library.embeddings)
    picture = _awaitable(library.picture)
    upload = _awaitable(uploads.upload)
    upload_url = _awaitable(uploads.upload_url)
    jobs = _aiterated(library.jobs_page)
    job = _awaitable(library.job)
    wait = _awaitable(library.wait)
    cancel = _awaitable(library.cancel)
    retry = _awaitable(library.retry)
    search = _awaitable(searches.search)
    search_all = _aiterated(searches.results_page)
    search_batch = _awaitable(searches.search_batch)
    search_clip = _awaitable(searches.search_clip)
    heatmap = _awaitable(searches.heatmap)
    classify = _awaitable(searches.classify)
    classify_file = _awaitable(searches.classify_file)
    label_sets = _aiterated(library.label_sets_page)
    label_set = _awaitable(library.label_set)
    put_label_set = _awaitable(library.put_label_set)
    delete_label_set = _awaitable(library.delete_label_set)
