"""Small things to put into a catalog."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from app.catalog import Catalog
from app.catalog.records import Job, Metadata, NewSegment, NewVideo, Video, VideoFacts
from app.catalog.sql.jobs import LONGEST_PAUSE_S
from index.protocol import TensorReference

DIM = 4
FACTS = VideoFacts(container="mov,mp4", codec="h264", width=64, height=48, duration_s=12.5)


START = datetime(2026, 5, 4, 3, 2, 1, 987654, UTC)


@dataclass
class HandClock:
    """A clock that stands still until it is moved."""

    time: datetime = START
    jumped: timedelta = timedelta()

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - self.jumped - START).total_seconds()

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def jump(self, hours: float) -> None:
        """Somebody sets the time of day; no time passes."""
        self.time += timedelta(hours=hours)
        self.jumped += timedelta(hours=hours)


def new_video(content: object, metadata: Metadata | None = None) -> NewVideo:
    """An upload; the same content has the same checksum."""
    return NewVideo(
        filename=f"{content}.mp4",
        content_type="video/mp4",
        size_bytes=5_000_000_000,
        sha256=hashlib.sha256(repr(content).encode()).hexdigest(),
        metadata={} if metadata is None else metadata,
    )


def new_segments(count: int) -> list[NewSegment]:
    """Windows of 5 s every 2.5 s, their tensors far into a large file."""
    return [
        NewSegment(
            position=number,
            start_s=2.5 * number,
            end_s=2.5 * number + 5,
            tensor=TensorReference("wrk.tensors", 2**40 + number * 100, 100, 2**32 - 1 - number),
        )
        for number in range(count)
    ]


def embeddings(count: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)


def claim(catalog: Catalog, lease_s: float = 30) -> tuple[Job, str]:
    """The next job and the token that holds it."""
    job = catalog.claim_job("worker", lease_s)
    assert job is not None
    assert job.lease_token is not None
    return job, job.lease_token


def claim_after_pause(catalog: Catalog, clock: HandClock) -> tuple[Job, str]:
    """The next job and its token, once every pause between attempts is over."""
    clock.advance(LONGEST_PAUSE_S)
    return claim(catalog)


def complete(catalog: Catalog, job: Job, token: str, count: int = 3, seed: int = 0) -> Job:
    return catalog.complete_ingest(
        job.id,
        token,
        facts=FACTS,
        segments=new_segments(count),
        embeddings=embeddings(count, seed),
        model="motion-tiny",
        fingerprint="f00d",
    )


def ingest(
    catalog: Catalog,
    content: object,
    *,
    collection: str = "default",
    count: int = 3,
    metadata: Metadata | None = None,
    seed: int = 0,
) -> Video:
    """A video all the way in; no other job may be waiting."""
    video, queued, _ = catalog.add_video_with_job(collection, new_video(content, metadata))
    job, token = claim(catalog)
    assert queued.id == job.id
    complete(catalog, job, token, count, seed)
    return catalog.get_video(collection, video.id)


def rows_of(catalog: Catalog, video: Video) -> list[int]:
    return [segment.row for segment in catalog.list_segments(video.collection, video.id)]


def follow(
    catalog: Catalog, collection_id: str, sequence: int, vectors: Mapping[int, bytes], limit: int
) -> tuple[int, dict[int, bytes]]:
    """What an index does: apply the changes, in batches, until there are none."""
    followed = dict(vectors)
    while changes := catalog.changes_since(collection_id, sequence, limit):
        for change in changes:
            assert change.sequence > sequence
            sequence = change.sequence
            if change.kind == "remove":
                followed.pop(change.row, None)
            else:
                assert change.vector is not None
                followed[change.row] = change.vector.tobytes()
    return sequence, followed
