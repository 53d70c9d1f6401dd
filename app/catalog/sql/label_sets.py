"""Label sets in SQL: named lists of labels to classify with."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from app.catalog.errors import LabelSetNotFound
from app.catalog.records import LabelSet, LabelSetListing, RecordPage
from app.catalog.sql import tables
from app.catalog.sql.pages import fetch_page

T = tables.label_sets


def put(connection: Connection, new: LabelSet) -> None:
    """Insert one; the database refuses a name that exists."""
    connection.execute(insert(T).values(**_values(new), created_at=new.created_at, name=new.name))


def find(connection: Connection, name: str) -> LabelSet | None:
    """The label set of that name, locked against other writers in a transaction that writes."""
    statement = select(T).where(T.c.name == name).with_for_update()
    row = connection.execute(statement).mappings().first()
    return None if row is None else _label_set(row)


def get(connection: Connection, name: str) -> LabelSet:
    """The label set of that name."""
    row = connection.execute(select(T).where(T.c.name == name)).mappings().first()
    if row is None:
        raise LabelSetNotFound(f"no label set {name!r}")
    return _label_set(row)


def replace(connection: Connection, new: LabelSet) -> None:
    """Give the label set of that name these labels and templates."""
    connection.execute(update(T).where(T.c.name == new.name).values(**_values(new)))


def page(connection: Connection, cursor: str | None, limit: int) -> RecordPage[LabelSetListing]:
    """Label sets by name, without their labels, which may be thousands each."""
    size = func.json_array_length(T.c.labels).label("size")
    return fetch_page(
        connection,
        select(T.c.name, size, T.c.templates, T.c.created_at, T.c.updated_at),
        T.c.name,
        _summary,
        cursor=cursor,
        limit=limit,
        newest_first=False,
    )


def remove(connection: Connection, name: str) -> None:
    """Delete the label set of that name."""
    if connection.execute(delete(T).where(T.c.name == name)).rowcount == 0:
        raise LabelSetNotFound(f"no label set {name!r}")


def _values(new: LabelSet) -> dict[str, object]:
    return {
        "labels": list(new.labels),
        "templates": list(new.templates),
        "updated_at": new.updated_at,
    }


def _label_set(row: RowMapping) -> LabelSet:
    return LabelSet(
        name=row[T.c.name],
        labels=tuple(row[T.c.labels]),
        templates=tuple(row[T.c.templates]),
        created_at=row[T.c.created_at],
        updated_at=row[T.c.updated_at],
    )


def _summary(row: RowMapping) -> LabelSetListing:
    return LabelSetListing(
        name=row[T.c.name],
        size=row["size"],
        templates=tuple(row[T.c.templates]),
        created_at=row[T.c.created_at],
        updated_at=row[T.c.updated_at],
    )
