"""Working ahead: in order, a bounded number at once, and nothing left running for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import pytest

from app.worker.prefetch import ahead


def test_results_come_in_the_order_of_the_items() -> None:
    """Also where later ones are done first."""
    with ThreadPoolExecutor(4) as pool:
        pairs = ahead(range(50), lambda item: pool.submit(pow, item, 2), most=4)
        assert list(pairs) == [(item, item**2) for item in range(50)]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_no_more_than_so_many_are_under_way(most: int) -> None:
    """The next item is asked for while there are fewer, and not before."""
    begun: list[Future[int]] = []
    counts: list[int] = []

    def begin(item: int) -> Future[int]:
        begun.append(Future())
        unfinished = [number for number, future in enumerate(begun) if not future.done()]
        counts.append(len(unfinished))
        for number in unfinished if item == 9 else unfinished[: len(unfinished) == most]:
            begun[number].set_result(number)
        return begun[-1]

    assert list(ahead(range(10), begin, most)) == [(item, item) for item in range(10)]
    assert max(counts) == min(most, 10)


def test_what_is_done_does_not_wait_for_the_next_item() -> None:
    """The first result is there before all the items are."""
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10):
            asked.append(item)
            yield item

    def begin(item: int) -> Future[int]:
        future: Future[int] = Future()
        future.set_result(item)
        return future

    with closing(ahead(items(), begin, most=8)) as pairs:
        assert next(pairs) == (0, 0)
        assert asked == [0]


def test_a_failure_of_one_cancels_those_behind_it() -> None:
    """Nobody would look at them, and no further ones are begun."""
    begun: list[Future[int]] = []

    def begin(_: int) -> Future[int]:
        begun.append(Future())
        if len(begun) == 3:
            begun[0].set_exception(ZeroDivisionError())
        return begun[-1]

    with pytest.raises(ZeroDivisionError):
        list(ahead(range(9), begin, most=3))
    assert [future.cancelled() for future in begun] == [False, True, True]


def test_items_that_fail_cancel_what_was_begun_for_those_before() -> None:
    """A file that breaks off half-way, for example."""
    begun: list[Future[int]] = []

    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("broken off")

    def begin(_: int) -> Future[int]:
        begun.append(Future())
        return begun[-1]

    with pytest.raises(OSError, match="broken off"):
        list(ahead(items(), begin, most=5))
    assert [future.cancelled() for future in begun] == [True, True]
