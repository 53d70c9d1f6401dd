"""Prefetch: works on a few items at once and gives their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    items: Iterable[Item], begin: Callable[[Item], Future[Result]], most: int
) -> Generator[tuple[Item, Result]]:
    """Each item with what `begin` promised for it, in order; at most `most` are under way.

    Items are requested while earlier ones are worked on. Whatever ends the iteration, the work
    that has not begun is cancelled.
    """
    under_way: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            under_way.append((item, begin(item)))
            while under_way and (len(under_way) >= most or under_way[0][1].done()):
                item, future = under_way.popleft()
                yield item, future.result()
        while under_way:
            item, future = under_way.popleft()
            yield item, future.result()
    finally:
        for _, future in under_way:
            future.cancel()
