"""Library service over a real catalog and data folder: properties, pictures, deletions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.catalog import Catalog
from app.catalog.errors import CollectionNotFound, VideoNotFound
from app.catalog.records import Metadata, Video
from app.data_layout import DataLayout
from app.errors import (
    CollectionDiffers,
    CollectionProtected,
    ContentNotFound,
    InvalidRequest,
    ThumbnailNotFound,
)
from app.services.library.library import LibraryService
from app.services.library.segmentation import SegmentationDefaults
from app.services.vectors.replica import IndexReplica
from app.storage.composition import Storage, open_storage
from app.storage.deletion import DeletionRunner
from app.storage.object_store import OpenObject, chunks
from tests.app.catalog.samples import DIM, HandClock, ingest

WINDOW_S, STRIDE_S = 4.0, 2.0


@dataclass(frozen=True)
class Shelves:
    """The service and what it stands on."""

    service: LibraryService
    catalog: Catalog
    storage: Storage
    vectors: IndexReplica
    clock: HandClock

    def kept(self, content: bytes, collection: str = "default") -> Video:
        """A ready video of three windows, at 0, 2.5 and 5 s, whose bytes are in the store."""
        self.clock.advance(1)
        video = ingest(self.catalog, content, collection=collection)
        self.storage.media.objects.put(f"media/{video.sha256[:2]}/{video.sha256}", content)
        return video


@pytest.fixture
def shelves(tmp_path: Path) -> Iterator[Shelves]:
    storage = open_storage(DataLayout(tmp_path), writer_id="api")
    clock = HandClock()
    with Catalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}", clock=clock) as catalog:
        vectors = IndexReplica(catalog, threads=1)
        deletion = DeletionRunner(catalog, storage)
        defaults = SegmentationDefaults(WINDOW_S, STRIDE_S)
        service = LibraryService(
            catalog, storage.media, deletion, vectors, model="m", segmentation=defaults
        )
        service.ensure_default()
        yield Shelves(service, catalog, storage, vectors, clock)
        vectors.close()
    storage.close()


def read(content: OpenObject) -> bytes:
    with closing(content):
        return b"".join(chunks(content))


@pytest.mark.parametrize(("window_s", "stride_s"), [(3.0, 3.1), (None, WINDOW_S + 0.1)])
def test_windows_may_not_leave_gaps(
    shelves: Shelves, window_s: float | None, stride_s: float
) -> None:
    """A stride just above the window, given or usual, is refused and makes no collection."""
    with pytest.raises(InvalidRequest):
        shelves.service.put_collection("new", window_s, stride_s, None)
    with pytest.raises(CollectionNotFound):
        shelves.service.collection("new")


@pytest.mark.parametrize(
    ("window_s", "stride_s", "metadata", "same"),
    [
        (None, None, None, True),
        (3.0, 1.0, {"a": [1, None]}, True),
        (None, 1.0, None, True),
        (3.0, None, None, True),
        (None, None, {"a": [1, None]}, True),
        (WINDOW_S, 1.0, None, False),
        (None, STRIDE_S, None, False),
        (None, None, {}, False),
        (None, None, {"a": [1]}, False),
    ],
)
def test_a_collection_is_put_again_only_as_it_is(
    shelves: Shelves,
    window_s: float | None,
    stride_s: float | None,
    metadata: Metadata | None,
    same: bool,
) -> None:
    """What is not said matches anything; the settings do not speak for one that is there."""
    made, is_new = shelves.service.put_collection("new", 3.0, 1.0, {"a": [1, None]})
    assert is_new
    if same:
        found, is_new = shelves.service.put_collection("new", window_s, stride_s, metadata)
        assert (found, is_new) == (made, False)
    else:
        with pytest.raises(CollectionDiffers):
            shelves.service.put_collection("new", window_s, stride_s, metadata)
        assert shelves.service.collection("new") == made


def test_a_start_keeps_the_default_collection(shelves: Shelves) -> None:
    """Also one that was made with other windows than the settings now say."""
    before = shelves.service.collection("default")
    later = SegmentationDefaults(9, 9)
    deletion = DeletionRunner(shelves.catalog, shelves.storage)
    media = shelves.storage.media
    again = LibraryService(
        shelves.catalog, media, deletion, shelves.vectors, model="other", segmentation=later
    )
    again.ensure_default()
    assert again.collection("default") == before


def test_a_view_counts_what_can_be_found(shelves: Shelves) -> None:
    """Videos of any status, segments of those that are ready; each collection its own."""
    shelves.service.put_collection("other", None, None, None)
    shelves.kept(b"a")
    shelves.kept(b"b")
    page = shelves.service.collections(None, 10)
    assert [(one.collection.name, one.videos, one.segments) for one in page.items] == [
        ("default", 2, 6),
        ("other", 0, 0),
    ]


def test_the_default_collection_is_never_deleted(shelves: Shelves) -> None:
    """Its videos stay too."""
    shelves.kept(b"a")
    with pytest.raises(CollectionProtected):
        shelves.service.delete_collection("default")
    assert shelves.service.collection("default").videos == 1


def test_a_deleted_collection_takes_its_files_and_vectors(shelves: Shelves) -> None:
    """But not bytes that a video of another collection holds, which go with the last one."""
    shelves.service.put_collection("other", None, None, None)
    mine, shared = shelves.kept(b"mine", "other"), shelves.kept(b"shared", "other")
    kept = shelves.kept(b"shared")
    other = shelves.catalog.get_collection("other")
    shelves.vectors.recall(other, np.ones(DIM, np.float32), 1, None)
    assert shelves.vectors.sizes() == {"other": 6}
    assert shelves.service.delete_collection("other") == 0
    assert shelves.vectors.sizes() == {}
    for gone in (mine, shared):
        with pytest.raises(CollectionNotFound):
            shelves.service.video("other", gone.id)
    with pytest.raises(ContentNotFound):
        shelves.service.content(mine)
    assert read(shelves.service.content(kept)) == b"shared"
    assert shelves.service.delete_video("default", kept.id) == 0
    with pytest.raises(ContentNotFound):
        shelves.service.content(kept)
    assert shelves.service.pending_removals().count == 0


def test_a_video_is_deleted_once(shelves: Shelves) -> None:
    """The second time it is not found, and nothing more is taken off the disk."""
    video = shelves.kept(b"a")
    shelves.service.delete_video("default", video.id)
    with pytest.raises(VideoNotFound):
        shelves.service.delete_video("default", video.id)


@pytest.mark.parametrize(
    ("moment", "picture"),
    [
        (None, 0),
        (-10.0, 0),
        (3.74, 0),
        (3.75, 0),  # as near to the middle of the second window: the earlier one is taken
        (3.76, 1),
        (6.25, 1),
        (6.26, 2),
        (1e9, 2),
    ],
)
def test_a_picture_is_of_the_segment_whose_middle_is_nearest(
    shelves: Shelves, moment: float | None, picture: int
) -> None:
    """Without a moment the first one's; before the beginning and behind the end those there are."""
    video = shelves.kept(b"a")
    for at in range(3):
        shelves.storage.media.write_thumbnail(video.id, at, b"picture %d" % at)
    found = read(shelves.service.thumbnail("default", video.id, moment))
    assert found == b"picture %d" % picture


@pytest.mark.parametrize("written", [[], [1]])
def test_a_picture_that_is_not_there_is_told(shelves: Shelves, written: list[int]) -> None:
    """Another segment's is not shown in its place."""
    video = shelves.kept(b"a")
    for at in written:
        shelves.storage.media.write_thumbnail(video.id, at, b"picture")
    with pytest.raises(ThumbnailNotFound, match=video.id):
        shelves.service.thumbnail("default", video.id, 0.0)
    with pytest.raises(VideoNotFound):
        shelves.service.thumbnail("default", "vid_none", 0.0)


def test_sprites_are_their_videos(shelves: Shelves) -> None:
    """Sheet and index come as they were written; of a video without any, and of no video, none."""
    video, other = shelves.kept(b"a"), shelves.kept(b"b")
    shelves.storage.media.write_sprites(video.id, b"sheet", "index")
    assert read(shelves.service.sprite("default", video.id, index=False)) == b"sheet"
    assert read(shelves.service.sprite("default", video.id, index=True)) == b"index"
    with pytest.raises(ThumbnailNotFound):
        shelves.service.sprite("default", other.id, index=True)
    with pytest.raises(VideoNotFound):
        shelves.service.sprite("default", "vid_none", index=True)


def test_metadata_is_replaced_and_not_merged(shelves: Shelves) -> None:
    """What is left out is gone, of collections and of videos; the rest of them stays."""
    video = shelves.kept(b"a")
    for wanted in ({"a": 1, "b": {"c": None}}, {"b": True}, {}):
        metadata: dict[str, Any] = wanted
        assert shelves.service.describe_collection("default", metadata).collection.metadata == (
            metadata
        )
        described = shelves.service.describe_video("default", video.id, metadata)
        assert described.metadata == metadata
        assert (described.sha256, described.status) == (video.sha256, "ready")
