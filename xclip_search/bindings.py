"""Method binding: makes a method of each client from an operation that is written once.

The method has the operation's own parameters and documentation, and says what the client returns:
`help(client.search)` shows neither the generator nor its steps.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, get_args, get_type_hints

from xclip_search import schemas
from xclip_search.steps import Flow

if TYPE_CHECKING:
    from xclip_search.clients import AsyncClient, Client

P = ParamSpec("P")
T = TypeVar("T")

_SELF = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)


def blocking(flow: Callable[P, Flow[T]]) -> Callable[Concatenate[Client, P], T]:
    """The operation as a method that returns its result."""

    @functools.wraps(flow)
    def run(client: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client.run(flow(*args, **kwargs))

    _describe(run, flow, _result(flow))
    return run


def awaitable(flow: Callable[P, Flow[T]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    """The operation as a method that is awaited."""

    @functools.wraps(flow)
    async def run(client: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await client.run(flow(*args, **kwargs))

    _describe(run, flow, _result(flow))
    return run


def iterated(
    flow: Callable[P, Flow[schemas.Page[T]]],
) -> Callable[Concatenate[Client, P], Iterator[T]]:
    """The operation as an iterator over the items of all its pages."""

    @functools.wraps(flow)
    def run(client: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        while True:
            page = client.run(flow(*args, **kwargs))
            yield from page.items
            if page.next_cursor is None:
                return
            kwargs["cursor"] = page.next_cursor

    _describe(run, flow, Iterator[_item(flow)])  # type: ignore[misc]
    return run


def aiterated(
    flow: Callable[P, Flow[schemas.Page[T]]],
) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    """The operation as an asynchronous iterator over the items of all its pages."""

    @functools.wraps(flow)
    async def run(client: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        while True:
            page = await client.run(flow(*args, **kwargs))
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            kwargs["cursor"] = page.next_cursor

    _describe(run, flow, AsyncIterator[_item(flow)])  # type: ignore[misc]
    return run


def _describe(method: Callable[..., Any], flow: Callable[..., Any], returned: Any) -> None:
    """Say of the method what `help`, `inspect` and editors ask for."""
    taken = inspect.signature(flow)
    shown = taken.replace(
        parameters=[_SELF, *taken.parameters.values()], return_annotation=returned
    )
    method.__name__ = method.__qualname__ = flow.__name__.removesuffix("_page")
    method.__annotations__ = {**flow.__annotations__, "return": returned}
    method.__signature__ = shown  # type: ignore[attr-defined]


def _result(flow: Callable[..., Any]) -> Any:
    """What the operation returns once it is carried out."""
    *_, result = get_args(get_type_hints(flow)["return"])
    return result


def _item(flow: Callable[..., Any]) -> Any:
    """What is on the operation's pages."""
    page = _result(flow)
    return page.__pydantic_generic_metadata__["args"][0]
