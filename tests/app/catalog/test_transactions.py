"""Transactions: all or nothing, and readers beside a writer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from app.catalog import database
from app.catalog.sql import tables
from app.catalog.transactions import Transactions
from tests.app.catalog.samples import HandClock

T = tables.secrets


@pytest.fixture
def transactions(url: str, clock: HandClock) -> Iterator[Transactions]:
    engine = database.open_engine(url)
    database.migrate(engine)
    yield Transactions(engine, clock, lambda count: b"\0" * count, max_attempts=3, max_lost=20)
    engine.dispose()


def names(transactions: Transactions) -> list[str]:
    with transactions._read() as connection:
        return sorted(connection.execute(select(T.c.name)).scalars())


def put(transactions: Transactions, *new: str, fail: bool = False) -> None:
    with transactions._write() as connection:
        for name in new:
            connection.execute(insert(T).values(name=name, value=b"v"))
        if fail:
            raise OSError("the disk is full")


def test_what_a_block_writes_is_there_when_it_ends(transactions: Transactions) -> None:
    """The next transaction sees all of it."""
    put(transactions, "a", "b")
    assert names(transactions) == ["a", "b"]


def test_all_queries_of_a_read_see_one_state(transactions: Transactions) -> None:
    """What another transaction commits between two of them is in neither, or in both."""
    put(transactions, "a")
    with transactions._read() as connection:
        before = list(connection.execute(select(T.c.name)).scalars())
        put(transactions, "b")
        assert list(connection.execute(select(T.c.name)).scalars()) == before
    assert names(transactions) == ["a", "b"]


def test_a_block_that_fails_writes_nothing(transactions: Transactions) -> None:
    """Half a change never reaches the disk, and the error is passed on."""
    put(transactions, "a")
    with pytest.raises(OSError, match="full"):
        put(transactions, "b", "c", fail=True)
    assert names(transactions) == ["a"]
    put(transactions, "b")
    assert names(transactions) == ["a", "b"]


def test_readers_do_not_wait_for_a_writer(transactions: Transactions) -> None:
    """They see the state before, until the writer has committed."""
    put(transactions, "a")
    with transactions._write() as connection:
        connection.execute(insert(T).values(name="b", value=b"v"))
        assert names(transactions) == ["a"]
    assert names(transactions) == ["a", "b"]


def test_times_are_read_from_the_one_clock(transactions: Transactions, clock: HandClock) -> None:
    """A lease ends as many seconds from now as it was given, to the microsecond."""
    before = clock.now()
    assert transactions._now() == before
    assert transactions._in(2.5) - before == timedelta(seconds=2.5)
    clock.advance(10)
    assert transactions._now() - before == timedelta(seconds=10)


def test_ids_name_their_kind_and_sort_by_time(transactions: Transactions, clock: HandClock) -> None:
    """With the same random bytes a later id is a greater one."""
    ids = []
    for _ in range(5):
        ids.append(transactions._new_id("vid"))
        clock.advance(0.5)
    assert ids == sorted(set(ids))
    assert all(each.startswith("vid_") and len(each) == 30 for each in ids)
