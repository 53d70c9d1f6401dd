"""Library service: collections, videos and their segments."""

from __future__ import annotations

from dataclasses import dataclass

from app import failpoints
from app.catalog import Catalog
from app.catalog.records import (
    Collection,
    Metadata,
    PendingRemovals,
    RecordPage,
    Segment,
    StoredSegment,
    Video,
    VideoStatus,
)
from app.errors import (
    CollectionDiffers,
    CollectionProtected,
    ContentNotFound,
    ThumbnailNotFound,
)
from app.services.library.segmentation import SegmentationDefaults
from app.services.vectors.port import VectorPort
from app.storage.deletion import DeletionRunner
from app.storage.media_store import MediaStore, content_key, sprite_keys, thumbnail_key
from app.storage.object_store import ObjectMissing, OpenObject

DEFAULT_COLLECTION = "default"


@dataclass(frozen=True, slots=True)
class CollectionView:
    """A collection and how much is in it."""

    collection: Collection
    videos: int
    segments: int


class LibraryService:
    """The library's contents; deletes rows first, then the files that no row refers to any more."""

    def __init__(
        self,
        catalog: Catalog,
        media: MediaStore,
        deletion: DeletionRunner,
        vectors: VectorPort,
        *,
        model: str,
        segmentation: SegmentationDefaults,
    ) -> None:
        self._catalog = catalog
        self._media = media
        self._deletion = deletion
        self._vectors = vectors
        self._model = model
        self._segmentation = segmentation

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
        """Create a collection, or find the one that has these properties; True when it is new.

        None takes the default when creating and matches anything afterwards. Raises
        CollectionDiffers, InvalidRequest (stride longer than window).
        """
        window, stride = self._segmentation.fill(window_s, stride_s)
        collection, created = self._catalog.create_collection(
            name,
            model=self._model,
            window_s=window,
            stride_s=stride,
            metadata=metadata or {},
        )
        requested = (window_s, stride_s, metadata)
        found = (collection.window_s, collection.stride_s, collection.metadata)
        if any(
            want is not None and want != has for want, has in zip(requested, found, strict=True)
        ):
            raise CollectionDiffers(f"The collection {name!r} exists with other properties.")
        return self._view(collection), created

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
        self._media.reserve.give_up_if_needed()
        removals = self._catalog.delete_collection(name)
        failpoints.hit("delete_committed")
        self._vectors.forget(name)
        return self._deletion.remove(removals)

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
        self._media.reserve.give_up_if_needed()
        removals = self._catalog.delete_video(collection, video_id)
        failpoints.hit("delete_committed")
        return self._deletion.remove(removals)

    def segments(self, collection: str, video_id: str) -> list[Segment]:
        """A video's segments in order of time; none until its ingest has succeeded."""
        return self._catalog.list_segments(collection, video_id)

    def stored_segments(self, video: Video) -> list[StoredSegment]:
        """A video's segments in order of time, each with its vector."""
        return self._catalog.stored_segments(video.id)

    def pending_removals(self) -> PendingRemovals:
        """How much of what was deleted is still on disk."""
        return self._deletion.pending()

    def content(self, video: Video) -> OpenObject:
        """The video's bytes as they were sent, open; raises ContentNotFound."""
        try:
            return self._media.objects.open(content_key(video.sha256))
        except ObjectMissing:
            raise ContentNotFound(f"The bytes of {video.id} are not in the media store.") from None

    def thumbnail(self, collection: str, video_id: str, moment_s: float | None) -> OpenObject:
        """The thumbnail of the segment whose middle is nearest, or of the first one.

        Raises ThumbnailNotFound as long as there is none.
        """
        segments = self._catalog.list_segments(collection, video_id)
        moment = 0.0 if moment_s is None else moment_s
        missing = ThumbnailNotFound(f"{video_id} has no thumbnail of that moment yet.")
        if not segments:
            raise missing
        nearest = min(segments, key=lambda segment: abs(middle(segment) - moment))
        try:
            return self._media.objects.open(thumbnail_key(video_id, nearest.position))
        except ObjectMissing:
            raise missing from None

    def sprite(self, collection: str, video_id: str, *, index: bool) -> OpenObject:
        """The video's sprite sheet, or the index of its tiles.

        Raises ThumbnailNotFound as long as there is none.
        """
        self._catalog.get_video(collection, video_id)
        sheet, tiles = sprite_keys(video_id)
        try:
            return self._media.objects.open(tiles if index else sheet)
        except ObjectMissing:
            raise ThumbnailNotFound(f"{video_id} has no sprite sheet.") from None

    def _view(self, collection: Collection) -> CollectionView:
        return CollectionView(
            collection,
            videos=self._catalog.count_videos(collection.name),
            segments=self._catalog.count_segments(collection.name),
        )


def middle(segment: Segment) -> float:
    """The moment halfway through a segment, in seconds."""
    return (segment.start_s + segment.end_s) / 2
