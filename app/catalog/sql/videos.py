"""Videos in SQL, with the terms that their metadata is found by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, RowMapping, case, delete, insert, select, update

from app.catalog.errors import VideoNotFound
from app.catalog.metadata_terms import metadata_terms, name_terms
from app.catalog.records import Metadata, RecordPage, Video, VideoFacts, VideoStatus
from app.catalog.sql import tables
from app.catalog.sql.pages import fetch_page

T = tables.videos
TERMS = tables.metadata_terms


def put(connection: Connection, video: Video) -> None:
    """Insert one, with its terms."""
    values = {column.name: getattr(video, column.name) for column in T.columns}
    values["metadata"] = dict(video.metadata)
    values["further_names"] = list(video.further_names)
    connection.execute(insert(T).values(**values))
    _put_terms(connection, video.id, video.metadata, video.further_names)


def get(connection: Connection, collection: str, video_id: str) -> Video:
    """The collection's video of that id."""
    statement = select(T).where(T.c.id == video_id, T.c.collection == collection)
    row = connection.execute(statement).mappings().first()
    if row is None:
        raise VideoNotFound(f"no video {video_id!r} in collection {collection!r}")
    return _video(row)


def find_bytes(connection: Connection, collection: str, sha256: str) -> Video | None:
    """The collection's video that holds these bytes."""
    statement = select(T).where(T.c.collection == collection, T.c.sha256 == sha256)
    row = connection.execute(statement).mappings().first()
    return None if row is None else _video(row)


def by_ids(connection: Connection, video_ids: Iterable[str]) -> dict[str, Video]:
    """Those of the videos that exist, by id."""
    rows = connection.execute(select(T).where(T.c.id.in_(set(video_ids)))).mappings()
    return {row[T.c.id]: _video(row) for row in rows}


def page(
    connection: Connection,
    collection: str,
    status: VideoStatus | None,
    cursor: str | None,
    limit: int,
) -> RecordPage[Video]:
    """The collection's videos, the newest first."""
    statement = select(T).where(T.c.collection == collection)
    if status is not None:
        statement = statement.where(T.c.status == status)
    return fetch_page(connection, statement, T.c.id, _video, cursor=cursor, limit=limit)


def set_metadata(connection: Connection, video_id: str, metadata: Metadata) -> None:
    """Replace the metadata and its terms."""
    connection.execute(update(T).where(T.c.id == video_id).values(metadata=dict(metadata)))
    _replace_terms(connection, video_id)


def set_further_names(connection: Connection, video_id: str, names: Sequence[str]) -> None:
    """Replace what the same bytes were called when they were sent again."""
    connection.execute(update(T).where(T.c.id == video_id).values(further_names=list(names)))
    _replace_terms(connection, video_id)


def set_processing(connection: Connection, video_id: str, job_id: str) -> None:
    """A job will try the video (again). One that is ready stays so: its segments are there."""
    status = case((T.c.status == "ready", "ready"), else_="processing")
    values = {"status": status, "job_id": job_id, "error_code": None, "error_message": None}
    connection.execute(update(T).where(T.c.id == video_id).values(**values))


def set_ready(connection: Connection, video_id: str, facts: VideoFacts) -> None:
    """The video's segments are stored."""
    values = {
        "status": "ready",
        "container": facts.container,
        "codec": facts.codec,
        "width": facts.width,
        "height": facts.height,
        "duration_s": facts.duration_s,
        "lost_s": facts.lost_s,
        "error_code": None,
        "error_message": None,
    }
    connection.execute(update(T).where(T.c.id == video_id).values(**values))


def set_failed(connection: Connection, video_id: str, code: str, message: str) -> None:
    """The video has no segments and no job will try again by itself."""
    values = {"status": "failed", "error_code": code, "error_message": message}
    waiting = (T.c.id == video_id) & (T.c.status == "processing")
    connection.execute(update(T).where(waiting).values(**values))


def remove(connection: Connection, video_id: str) -> None:
    """Delete the row; terms, segments and vectors go with it."""
    connection.execute(delete(T).where(T.c.id == video_id))


def files_of(connection: Connection, collection: str) -> list[tuple[str, str]]:
    """(id, sha256) of every video in the collection."""
    rows = connection.execute(select(T.c.id, T.c.sha256).where(T.c.collection == collection))
    return [(row.id, row.sha256) for row in rows]


def after(connection: Connection, video_id: str, limit: int) -> list[Video]:
    """The next videos of all collections after that id, the oldest first."""
    statement = select(T).where(T.c.id > video_id).order_by(T.c.id).limit(limit)
    return [_video(row) for row in connection.execute(statement).mappings()]


def is_media_referenced(connection: Connection, sha256: str) -> bool:
    """Whether a video of any collection holds these bytes."""
    statement = select(T.c.id).where(T.c.sha256 == sha256).limit(1)
    return connection.execute(statement).first() is not None


def _replace_terms(connection: Connection, video_id: str) -> None:
    row = connection.execute(
        select(T.c.metadata, T.c.further_names).where(T.c.id == video_id)
    ).one()
    connection.execute(delete(TERMS).where(TERMS.c.video_id == video_id))
    _put_terms(connection, video_id, row.metadata, row.further_names)


def _put_terms(
    connection: Connection, video_id: str, metadata: Metadata, names: Sequence[str]
) -> None:
    terms = [*metadata_terms(metadata), *name_terms(names)]
    rows = [
        {"video_id": video_id, "ordinal": ordinal, **asdict(term)}
        for ordinal, term in enumerate(terms)
    ]
    if rows:
        connection.execute(insert(TERMS), rows)


def _video(row: RowMapping) -> Video:
    return Video(**row)
