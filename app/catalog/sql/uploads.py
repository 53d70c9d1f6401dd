"""Resumable uploads in SQL; the length of its file says how far an upload has come."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, RowMapping, case, delete, func, insert, select, update

from app.catalog.errors import UploadNotFound
from app.catalog.records import ResumableUpload
from app.catalog.sql import tables

T = tables.uploads
_NOT_TOLD = -1


def put(connection: Connection, upload: ResumableUpload) -> None:
    """Insert one."""
    values = {column.name: getattr(upload, column.name) for column in T.columns}
    values["metadata"] = dict(upload.metadata)
    values["length"] = _NOT_TOLD if upload.length is None else upload.length
    connection.execute(insert(T).values(**values))


def get(connection: Connection, upload_id: str, owner: str) -> ResumableUpload:
    """The owner's upload of that id; another's is not there."""
    statement = select(T).where(T.c.id == upload_id, T.c.owner == owner)
    row = connection.execute(statement).mappings().first()
    if row is None:
        raise UploadNotFound(f"no upload {upload_id!r}")
    return _upload(row)


def prolong(connection: Connection, upload_id: str, expires: datetime) -> datetime:
    """It may lie untouched until then, or longer if that was said before; returns until when.

    A clock that was set back must not shorten what was promised.
    """
    of_id = T.c.id == upload_id
    promised = connection.execute(select(T.c.expires_at).where(of_id)).scalar_one_or_none()
    expires = expires if promised is None else max(promised, expires)
    connection.execute(update(T).where(of_id).values(expires_at=expires))
    return expires


def set_length(connection: Connection, upload_id: str, length: int) -> None:
    """Its length in bytes is told; one that was told before stays."""
    untold = (T.c.id == upload_id) & (T.c.length == _NOT_TOLD)
    connection.execute(update(T).where(untold).values(length=length))


def set_admitted(
    connection: Connection, upload_id: str, video_id: str, job_id: str, expires: datetime
) -> None:
    """All of it has come and is a video; its answer is remembered until `expires`."""
    values = {"video_id": video_id, "job_id": job_id, "expires_at": expires}
    if connection.execute(update(T).where(T.c.id == upload_id).values(**values)).rowcount != 1:
        raise UploadNotFound(f"no upload {upload_id!r}")


def unfinished(connection: Connection) -> list[ResumableUpload]:
    """Those that are no video yet."""
    rows = connection.execute(select(T).where(T.c.video_id.is_(None))).mappings()
    return [_upload(row) for row in rows]


def unfinished_of(connection: Connection, owner: str) -> tuple[int, int]:
    """How many of the owner's are no video yet, and the bytes that were told of them."""
    told = case((T.c.length == _NOT_TOLD, 0), else_=T.c.length)
    counted = select(func.count(), func.coalesce(func.sum(told), 0))
    unfinished = counted.where(T.c.owner == owner, T.c.video_id.is_(None))
    count, length = connection.execute(unfinished).one()
    return count, int(length)


def expired_ids(connection: Connection, now: datetime) -> list[str]:
    """Those whose time is over."""
    return list(connection.execute(select(T.c.id).where(T.c.expires_at <= now)).scalars())


def remove_expired(connection: Connection, upload_id: str, now: datetime) -> bool:
    """Delete it if its time is (still) over; False when it goes on."""
    over = (T.c.id == upload_id) & (T.c.expires_at <= now)
    return connection.execute(delete(T).where(over)).rowcount == 1


def remove(connection: Connection, upload_id: str) -> None:
    """Delete it."""
    connection.execute(delete(T).where(T.c.id == upload_id))


def _upload(row: RowMapping) -> ResumableUpload:
    values = {**row, "length": None if row["length"] == _NOT_TOLD else row["length"]}
    return ResumableUpload(**values)
