"""Collections in SQL, and the sequence that numbers the changes to their segments."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from app.catalog.errors import CollectionNotFound, VectorsOfAnotherModel
from app.catalog.records import Collection, Metadata, RecordPage
from app.catalog.sql import tables
from app.catalog.sql.pages import fetch_page

T = tables.collections


def put(connection: Connection, collection: Collection) -> None:
    """Insert one; the database refuses a name that exists."""
    connection.execute(
        insert(T).values(
            id=collection.id,
            name=collection.name,
            model=collection.model,
            window_s=collection.window_s,
            stride_s=collection.stride_s,
            metadata=dict(collection.metadata),
            sequence=collection.sequence,
            created_at=collection.created_at,
        )
    )


def get(connection: Connection, name: str, *, lock: bool = False) -> Collection:
    """The collection of that name. `lock` makes other writers of it wait for this transaction."""
    statement = select(T).where(T.c.name == name)
    row = connection.execute(statement.with_for_update() if lock else statement).mappings().first()
    if row is None:
        raise CollectionNotFound(f"no collection {name!r}")
    return _collection(row)


def get_by_id(connection: Connection, collection_id: str) -> Collection:
    """The collection of that id; a name that was deleted and created again has another id."""
    row = connection.execute(select(T).where(T.c.id == collection_id)).mappings().first()
    if row is None:
        raise CollectionNotFound(f"no collection with id {collection_id!r}")
    return _collection(row)


def page(connection: Connection, cursor: str | None, limit: int) -> RecordPage[Collection]:
    """Collections by name."""
    return fetch_page(
        connection,
        select(T),
        T.c.name,
        _collection,
        cursor=cursor,
        limit=limit,
        newest_first=False,
    )


def set_metadata(connection: Connection, name: str, metadata: Metadata) -> None:
    """Replace the metadata."""
    connection.execute(update(T).where(T.c.name == name).values(metadata=dict(metadata)))


def advance(connection: Connection, collection_id: str, count: int) -> int:
    """Reserve the next `count` sequence numbers and return the first of them.

    The row stays locked until the transaction ends, so numbers commit in their order: a reader
    that has read up to N never sees a number below N appear.
    """
    statement = (
        update(T)
        .where(T.c.id == collection_id)
        .values(sequence=T.c.sequence + count)
        .returning(T.c.sequence)
    )
    last = int(connection.execute(statement).scalar_one())
    return last - count + 1


def settle_model(
    connection: Connection, collection: Collection, model: str, fingerprint: str, dim: int
) -> None:
    """Bind a fresh collection to the model that first fills it; refuse any other afterwards.

    model : its name, which need not be the one that the collection was created with
    """
    if collection.fingerprint is None:
        values = {"model": model, "fingerprint": fingerprint, "dim": dim}
        connection.execute(update(T).where(T.c.id == collection.id).values(**values))
    elif (collection.fingerprint, collection.dim) != (fingerprint, dim):
        raise VectorsOfAnotherModel(
            f"collection {collection.name!r} holds vectors of model {collection.fingerprint} "
            f"(width {collection.dim}), not of {fingerprint} (width {dim})"
        )


def delete(connection: Connection, name: str) -> None:
    """Delete it with its videos, segments, vectors and changes."""
    connection.execute(T.delete().where(T.c.name == name))


def count_rows(connection: Connection, table: Any, name: str) -> int:
    """How many rows of `table` belong to the collection."""
    statement = select(func.count()).select_from(table).where(table.c.collection == name)
    return int(connection.execute(statement).scalar_one())


def _collection(row: RowMapping) -> Collection:
    return Collection(**row)
