"""Library service: collections, videos, segments and label sets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from app import failpoints
from app.catalog import Catalog
from app.catalog.records import (
    Collection,
    Metadata,
    RecordPage,
    Segment,
    Video,
    VideoStatus,
)
from app.errors import (
    CollectionDiffers,
    CollectionProtected,
    ContentNotFound,
    InvalidRequest,
    ThumbnailNotFound,
)
from app.services.vectors.port import VectorPort
from app.settings import Settings
from app.storage.deletion import DeletionRunner
from app.storage.media_store import MediaStore

DEFAULT_COLLECTION = "default"


@dataclass(frozen=True, slots=True)
class CollectionView:
    """A collection and how much is in it."""

    collection: Collection
    videos: int
    segments: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file to hand out, open: it stays whole for its reader, however soon it is deleted.

    modified_s : when its bytes became what they are, as Unix time
    """

    file: FileIO
    size_bytes: int
    modified_s: float

    @classmethod
    def open(cls, path: Path, modified_s: float | None = None) -> Self:
        """The file at `path`; `modified_s` where its own date says nothing."""
        file = path.open("rb", buffering=0)
        stat = os.fstat(file.fileno())
        return cls(file, stat.st_size, stat.st_mtime if modified_s is None else modified_s)

    @property
    def version(self) -> str:
        """Another one whenever the file has been written anew."""
        return f"{os.fstat(self.file.fileno()).st_mtime_ns:x}"


class LibraryService:
    """The library's contents; deletes rows first, then what nobody refers to any more."""

    def __init__(
        self,
        catalog: Catalog,
        media: MediaStore,
        remover: DeletionRunner,
        vectors: VectorPort,
        settings: Settings,
    ) -> None:
        self._catalog = catalog
        self._media = media
        self._remover = remover
        self._vectors = vectors
        self._settings = settings

    def ensure_default(self) -> None:
        """Create the default collection unless it is there."""
        self.put_collection(DEFAULT_COLLECTION, None, None, None)

    def put_collection(
        self,
        name: str,
        window_s: float | None,
        stride_s: float | None,
        metadata: Metadata | None,
    ) -> tuple[CollectionView, bool]:
        """Create a collection, or find the one that is as asked; True when it is new.

        None takes the default when creating and matches anything afterwards. Raises
        CollectionDiffers, InvalidRequest (stride longer than window).
        """
        window, stride = self.segmentation(window_s, stride_s)
        collection, created = self._catalog.create_collection(
            name,
            model=self._settings.model,
            window_s=window,
            stride_s=stride,
            metadata=metadata or {},
        )
        asked = (window_s, stride_s, metadata)
        found = (collection.window_s, collection.stride_s, collection.metadata)
        if any(a is not None and a != f for a, f in zip(asked, found, strict=True)):
            raise CollectionDiffers(f"The collection {name!r} exists with other properties.")
        return self._view(collection), created

    def segmentation(self, window_s: float | None, stride_s: float | None) -> tuple[float, float]:
        """Window and stride in seconds, defaults filled in; a lone window caps the stride."""
        window = self._settings.window_s if window_s is None else window_s
        stride = min(self._settings.stride_s, window) if stride_s is None else stride_s
        if stride > window:
            raise InvalidRequest("stride_s must not be longer than window_s.")
        return window, stride

    def collection(self, name: str) -> CollectionView:
        """One collection; raises CollectionNotFound."""
        return self._view(self._catalog.get_collection(name))

    def collections(self, cursor: str | None, limit: int) -> RecordPage[CollectionView]:
        """Collections by name."""
        page = self._catalog.list_collections(cursor, limit)
        return RecordPage(tuple(map(self._view, page.items)), page.next_cursor)

    def describe_collection(self, name: str, metadata: Metadata) -> CollectionView:
        """Replace a collection's metadata."""
        return self._view(self._catalog.update_collection_metadata(name, metadata))

    def delete_collection(self, name: str) -> int:
        """Delete a collection with all its videos, as `delete_video` does one.

        Raises CollectionProtected for the default.
        """
        if name == DEFAULT_COLLECTION:
            raise CollectionProtected("The default collection cannot be deleted; its videos can.")
        failpoints.hit("delete_begun")
        removals = self._catalog.delete_collection(name)
        failpoints.hit("delete_committed")
        self._vectors.forget(name)
        return self._remover.remove(removals)

    def video(self, collection: str, video_id: str) -> Video:
        """One video; raises CollectionNotFound, VideoNotFound."""
        return self._catalog.get_video(collection, video_id)

    def videos(
        self, collection: str, status: VideoStatus | None, cursor: str | None, limit: int
    ) -> RecordPage[Video]:
        """A collection's videos, newest first."""
        return self._catalog.list_videos(collection, cursor, limit, status)

    def describe_video(self, collection: str, video_id: str, metadata: Metadata) -> Video:
        """Replace a video's metadata."""
        return self._catalog.update_video_metadata(collection, video_id, metadata)

    def delete_video(self, collection: str, video_id: str) -> int:
        """Delete a video: no search shows it from the moment this returns.

        Returns how much of it is still to be taken off the disk, which is tried again by itself.
        """
        failpoints.hit("delete_begun")
        removals = self._catalog.delete_video(collection, video_id)
        failpoints.hit("delete_committed")
        return self._remover.remove(removals)

    def segments(self, collection: str, video_id: str) -> list[Segment]:
        """A video's segments in order of time; none until its ingest has succeeded."""
        return self._catalog.list_segments(collection, video_id)

    def content(self, video: Video) -> StoredFile:
        """The video's bytes as they were sent; raises ContentNotFound."""
        stored = _look_at(self._media.content_path(video.sha256))
        if stored is None:
            raise ContentNotFound(f"The bytes of {video.id} are not in the media store.")
        return stored

    def thumbnail(self, collection: str, video_id: str, moment_s: float | None) -> StoredFile:
        """The picture of the segment whose middle is nearest, or of the first one.

        Raises ThumbnailNotFound as long as there is none.
        """
        segments = self._catalog.list_segments(collection, video_id)
        moment = 0.0 if moment_s is None else moment_s
        ranked = sorted(segments, key=lambda segment: abs(middle(segment) - moment))
        stored = ranked and _look_at(self._media.thumbnail_path(video_id, ranked[0].position))
        if not stored:
            raise ThumbnailNotFound(f"{video_id} has no picture of that moment yet.")
        return stored

    def sprite(self, collection: str, video_id: str, *, index: bool) -> StoredFile:
        """The video's sprite sheet, or the index of its tiles.

        Raises ThumbnailNotFound as long as there is none.
        """
        self._catalog.get_video(collection, video_id)
        sheet, tiles = self._media.sprite_paths(video_id)
        stored = _look_at(tiles if index else sheet)
        if not stored:
            raise ThumbnailNotFound(f"{video_id} has no sprite sheet.")
        return stored

    def _view(self, collection: Collection) -> CollectionView:
        return CollectionView(
            collection,
            videos=self._catalog.count_videos(collection.name),
            segments=self._catalog.count_segments(collection.name),
        )


def middle(segment: Segment) -> float:
    """The moment halfway through a segment, in seconds."""
    return (segment.start_s + segment.end_s) / 2


def _look_at(path: Path) -> StoredFile | None:
    try:
        return StoredFile.open(path)
    except FileNotFoundError:
        return None
