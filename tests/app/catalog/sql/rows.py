"""Rows to fill the tables with, below the catalog's methods."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Connection

from app.catalog.records import Collection, NewSegment, ResumableUpload, Video
from app.catalog.sql import collections, segments, videos
from index import TensorReference

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
DIM = 2


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def put_collection(connection: Connection, name: str = "default") -> Collection:
    collection = Collection(
        id=f"col_{name}",
        name=name,
        model="m",
        fingerprint=None,
        dim=None,
        window_s=5.0,
        stride_s=2.5,
        metadata={},
        sequence=0,
        created_at=NOW,
    )
    collections.put(connection, collection)
    collections.settle_model(connection, collection, collection.model, "f00d", DIM)
    return replace(collection, fingerprint="f00d", dim=DIM)


def put_video(connection: Connection, video_id: str, collection: str = "default") -> Video:
    video = Video(
        id=video_id,
        collection=collection,
        filename="a.mp4",
        content_type="video/mp4",
        size_bytes=1,
        sha256=f"{video_id}-bytes",
        status="processing",
        container=None,
        codec=None,
        width=None,
        height=None,
        duration_s=None,
        metadata={},
        error_code=None,
        error_message=None,
        created_at=NOW,
        job_id="job_1",
    )
    videos.put(connection, video)
    return video


def put_segments(
    connection: Connection, collection: Collection, video_id: str, count: int, offset: int = 0
) -> list[int]:
    """Segments of a video whose tensors adjoin from `offset` on, 10 bytes each; their rows."""
    new = [
        (
            f"seg_{video_id}_{at}",
            NewSegment(at, 2.5 * at, 2.5 * at + 5, TensorReference("t", offset + 10 * at, 10, at)),
        )
        for at in range(count)
    ]
    vectors = np.arange(count * DIM, dtype=np.float32).reshape(count, DIM)
    segments.replace(connection, collection, video_id, new, vectors, NOW)
    return [segment.row for segment in segments.of_video(connection, video_id)]


def upload(upload_id: str, owner: str = "owner", seconds: float = 60) -> ResumableUpload:
    return ResumableUpload(
        id=upload_id,
        collection="default",
        owner=owner,
        length=2**40,
        filename="a.mp4",
        content_type="video/mp4",
        metadata={"k": ["é", 1, None]},
        created_at=NOW,
        expires_at=at(seconds),
        video_id=None,
        job_id=None,
    )
