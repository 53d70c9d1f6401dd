"""Keyset pagination, against slices of a sorted list."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, MetaData, String, Table, create_engine, insert, select

from app.catalog.errors import InvalidCursor
from app.catalog.records import RecordPage
from app.catalog.sql.pages import fetch_page

T = Table("things", MetaData(), Column("name", String, primary_key=True))
names = st.sets(st.text("abcxyz019_-", min_size=1, max_size=6), max_size=12)


def page(connection: Connection, cursor: str | None, limit: int, newest: bool) -> RecordPage[str]:
    return fetch_page(
        connection,
        select(T),
        T.c.name,
        lambda row: str(row[T.c.name]),
        cursor=cursor,
        limit=limit,
        newest_first=newest,
    )


def fill(connection: Connection, found: set[str]) -> None:
    connection.execute(T.delete())
    if found:
        connection.execute(insert(T), [{"name": name} for name in sorted(found)])


def pages(connection: Connection, limit: int, newest: bool) -> Iterator[RecordPage[str]]:
    found = page(connection, None, limit, newest)
    yield found
    while found.next_cursor is not None:
        found = page(connection, found.next_cursor, limit, newest)
        yield found


@pytest.fixture(scope="module")
def things() -> Iterator[Connection]:
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:"))
    with engine.connect() as connection:
        T.create(connection)
        yield connection
    engine.dispose()


@given(found=names, limit=st.integers(1, 13), newest=st.booleans())
def test_pages_together_are_the_sorted_list(
    things: Connection, found: set[str], limit: int, newest: bool
) -> None:
    """Every page but the last is full, and none is empty unless the list is."""
    fill(things, found)
    all_pages = list(pages(things, limit, newest))
    items = [item for each in all_pages for item in each.items]
    assert items == sorted(found, reverse=newest)
    assert all(len(each.items) == limit for each in all_pages[:-1])
    assert all_pages[-1].items or not found


@given(found=names, other=names, limit=st.integers(1, 5), newest=st.booleans())
def test_changes_between_pages_shift_no_page(
    things: Connection, found: set[str], other: set[str], limit: int, newest: bool
) -> None:
    """The second page is what comes after the first one's last item now."""
    fill(things, found)
    first = page(things, None, limit, newest)
    fill(things, other)
    if first.next_cursor is None:
        return
    last = first.items[-1]
    after = [name for name in sorted(other, reverse=newest) if (name < last) == newest]
    expected = [name for name in after if name != last][:limit]
    assert list(page(things, first.next_cursor, limit, newest).items) == expected


@pytest.mark.parametrize("cursor", ["!", "é", "a", "_w", "\0", "AA", "YQBi"])
def test_text_that_is_no_cursor_is_refused(things: Connection, cursor: str) -> None:
    """The error names the cursor, so that the caller sees what it sent."""
    with pytest.raises(InvalidCursor, match="is not a cursor of this list"):
        page(things, cursor, 1, newest=True)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_holds_at_least_one_item(things: Connection, limit: int) -> None:
    """An empty page with a cursor would never end."""
    with pytest.raises(ValueError, match="at least one item"):
        page(things, None, limit, newest=True)
