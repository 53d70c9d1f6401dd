"""Idempotency in SQL: the answers given to uploads under an Idempotency-Key."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, insert, select

from app.catalog.records import AnsweredUpload, UploadKey
from app.catalog.sql import tables

T = tables.idempotent_answers
VIDEOS = tables.videos


def find(connection: Connection, key: UploadKey) -> AnsweredUpload | None:
    """What was answered under the key, if the video is still there."""
    joined = T.join(VIDEOS, VIDEOS.c.id == T.c.video_id)
    statement = select(T).select_from(joined).where(_is(key))
    row = connection.execute(statement).mappings().first()
    return None if row is None else _answer(row)


def put(connection: Connection, key: UploadKey, answer: AnsweredUpload, now: datetime) -> None:
    """Remember an answer, and replace one whose video is gone.

    One that counts stays, also if it was committed since we looked: the insert then fails.
    """
    video_is_there = select(VIDEOS.c.id).where(VIDEOS.c.id == T.c.video_id).exists()
    connection.execute(delete(T).where(_is(key), ~video_is_there))
    connection.execute(
        insert(T).values(
            owner=key.owner,
            key=key.key,
            request_digest=key.digest,
            collection=answer.collection,
            video_id=answer.video_id,
            job_id=answer.job_id,
            queued=answer.queued,
            created_at=now,
        )
    )


def expire(connection: Connection, before: datetime) -> int:
    """Forget what was answered before; returns how many answers went."""
    return connection.execute(delete(T).where(T.c.created_at <= before)).rowcount


def _is(key: UploadKey) -> ColumnElement[bool]:
    return and_(T.c.owner == key.owner, T.c.key == key.key)


def _answer(row: RowMapping) -> AnsweredUpload:
    return AnsweredUpload(
        digest=row[T.c.request_digest],
        collection=row[T.c.collection],
        video_id=row[T.c.video_id],
        job_id=row[T.c.job_id],
        queued=row[T.c.queued],
    )
