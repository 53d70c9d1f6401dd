"""Verify: compares every stored file with the catalog (`xclip-search verify`).

Works beside a running service: before something counts as damage, the catalog is read again, and
what was deleted or replaced meanwhile is none.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from app.catalog import Catalog
from app.catalog.records import StoredSegment, Video
from app.maintenance.orphans import Orphan, find_orphans
from app.storage.composition import Storage
from app.storage.media_store import MediaStore, content_key, thumbnail_key
from app.storage.object_store import ObjectMissing, chunks
from app.storage.partial_uploads import PartialMissing, PartialUploadStore
from index import VectorStoreError
from index.protocol import Record, TensorStore

FindingKind: TypeAlias = Literal[
    "database", "state", "content", "tensor", "vector", "thumbnail", "upload"
]
VIDEOS_AT_ONCE = 200
RECORDS_AT_ONCE = 256
_STORED = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is damaged; `video_id` is the video's it belongs to, if it does to one."""

    kind: FindingKind
    subject: str
    message: str
    video_id: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked, what of it is damaged, and which orphans could be removed."""

    videos: int
    segments: int
    damage: list[Finding]
    orphans: list[Orphan]
    pending_removals: int


@dataclass(frozen=True, slots=True)
class Repairs:
    """Videos that are ingested again, and damage that this does not repair."""

    queued: list[str]
    beyond: list[Finding]


def verify(
    catalog: Catalog,
    storage: Storage,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Check everything once. `progress` is called with the number of videos checked so far."""
    damage = [Finding("database", "catalog", sentence) for sentence in catalog.damaged_file()]
    if damage:  # nothing that it says can be relied on
        return Report(0, 0, damage, [], 0)
    damage += [
        Finding("state", each.subject, each.message, each.video_id)
        for each in catalog.inconsistencies()
    ]
    damage += _uploads(catalog, storage.partial_uploads)
    videos = segments = 0
    for video in _videos(catalog):
        stored = catalog.stored_segments(video.id)
        damage += _video(catalog, storage, video, stored)
        videos, segments = videos + 1, segments + len(stored)
        progress(videos)
    return Report(
        videos,
        segments,
        damage,
        find_orphans(catalog, storage),
        catalog.pending_removals().count,
    )


def repair(catalog: Catalog, report: Report) -> Repairs:
    """Queue an ingest of each damaged video whose own file is whole."""
    lost = {each.video_id for each in report.damage if each.kind == "content"}
    queued, beyond = [], []
    for finding in report.damage:
        if finding.video_id is None or finding.video_id in lost:
            beyond.append(finding)
        elif finding.video_id not in queued:
            catalog.queue_rebuild(finding.video_id, after_failure=True)
            queued.append(finding.video_id)
    return Repairs(queued, beyond)


def _videos(catalog: Catalog) -> Iterator[Video]:
    last = ""
    while some := catalog.videos_after(last, VIDEOS_AT_ONCE):
        yield from some
        last = some[-1].id


def _video(
    catalog: Catalog, storage: Storage, video: Video, stored: Sequence[StoredSegment]
) -> Iterator[Finding]:
    wrong = _content(storage.media, video)
    if wrong and catalog.known_videos([video.id]):
        yield Finding("content", video.id, wrong, video.id)
    found = [*_tensors(storage.tensors, stored), *_thumbnails(storage.media, stored)]
    there = catalog.existing_segments([row for row, *_ in found]) if found else {}
    for row, kind, segment, message in found:
        if row in there:
            yield Finding(kind, segment, message, video.id)


def _content(media: MediaStore, video: Video) -> str | None:
    """What is wrong with a video's own file, if anything."""
    try:
        with media.objects.open(content_key(video.sha256)) as content:
            size = content.stat.size_bytes
            if size != video.size_bytes:
                return f"the file has {size} bytes, not {video.size_bytes}"
            digest = hashlib.sha256()
            for chunk in chunks(content):
                digest.update(chunk)
    except ObjectMissing:
        return "the file is not there"
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    return None if digest.hexdigest() == video.sha256 else "the file's SHA-256 differs"


_OfSegment: TypeAlias = tuple[int, FindingKind, str, str]  # row, kind, segment's id, message


def _tensors(tensors: TensorStore, stored: Sequence[StoredSegment]) -> Iterator[_OfSegment]:
    for start in range(0, len(stored), RECORDS_AT_ONCE):
        some = stored[start : start + RECORDS_AT_ONCE]
        records = tensors.read_each([each.segment.tensor for each in some])
        for each, record in zip(some, records, strict=True):
            segment = each.segment
            if isinstance(record, VectorStoreError):
                yield segment.row, "tensor", segment.id, str(record)
                continue
            wrong = _vector(each.vector, record)
            if wrong:
                yield segment.row, "vector", segment.id, wrong


def _vector(blob: bytes | None, record: Record) -> str | None:
    """What is wrong with a stored vector, if anything: its record holds the same one."""
    if blob is None:
        return "has no vector"
    embedding = record["embedding"]
    if len(blob) != embedding.size * _STORED.itemsize:
        return f"its vector has {len(blob)} bytes, not {embedding.size * _STORED.itemsize}"
    vector = np.frombuffer(blob, dtype=_STORED)
    if not np.isfinite(vector).all():
        return "its vector is not finite"
    return None if np.array_equal(vector, embedding) else "its vector differs from its tensors'"


def _thumbnails(media: MediaStore, stored: Sequence[StoredSegment]) -> Iterator[_OfSegment]:
    for each in stored:
        segment = each.segment
        try:
            webp = media.objects.read(thumbnail_key(segment.video_id, segment.position))
            with Image.open(io.BytesIO(webp), formats=["WEBP"]) as picture:
                picture.load()
        except ObjectMissing:
            yield segment.row, "thumbnail", segment.id, "has no thumbnail"
        except (OSError, SyntaxError, ValueError):
            yield segment.row, "thumbnail", segment.id, "its thumbnail cannot be read"


def _uploads(catalog: Catalog, partials: PartialUploadStore) -> Iterator[Finding]:
    for upload in catalog.list_unfinished_uploads():
        try:
            partials.size_bytes(upload.id)
        except PartialMissing:
            if upload.id in {each.id for each in catalog.list_unfinished_uploads()}:
                yield Finding("upload", upload.id, "its partial file is missing")
