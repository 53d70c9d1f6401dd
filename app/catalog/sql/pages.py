"""Keyset pagination: a cursor is the last row's key, so inserts and deletes shift no page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, RowMapping, Select

from app.catalog.errors import InvalidCursor
from app.catalog.records import RecordPage

Item = TypeVar("Item")


def fetch_page(
    connection: Connection,
    statement: Select[Any],
    key: Column[Any],
    make: Callable[[RowMapping], Item],
    *,
    cursor: str | None,
    limit: int,
    newest_first: bool = True,
) -> RecordPage[Item]:
    """Up to `limit` rows after the cursor, in the order of `key`, a unique text column.

    Raises InvalidCursor for a cursor that does not decode, ValueError for a limit below 1.
    """
    if limit < 1:
        raise ValueError(f"a page holds at least one item, not {limit}")
    if cursor is not None:
        last = _decode(cursor)
        statement = statement.where(key < last if newest_first else key > last)
    ordered = statement.order_by(key.desc() if newest_first else key).limit(limit + 1)
    rows = connection.execute(ordered).mappings().all()
    more = len(rows) > limit
    rows = rows[:limit]
    next_cursor = _encode(str(rows[-1][key])) if more else None
    return RecordPage(items=tuple(make(row) for row in rows), next_cursor=next_cursor)


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (UnicodeError, binascii.Error) as error:
        raise InvalidCursor(f"{cursor!r} is not a cursor of this list") from error
    if "\0" in key:  # no key has one, and PostgreSQL refuses to look for it
        raise InvalidCursor(f"{cursor!r} is not a cursor of this list")
    return key
