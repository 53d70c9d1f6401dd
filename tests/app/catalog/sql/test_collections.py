"""Collections: made once, listed by name, deleted with everything in them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.catalog import Catalog
from app.catalog.errors import CollectionNotFound, InvalidCursor, InvalidMetadata
from app.catalog.records import Collection, Metadata, Removal
from tests.app.catalog.samples import HandClock, claim, ingest, new_video


def make(catalog: Catalog, name: str, metadata: Metadata | None = None) -> Collection:
    collection, created = catalog.create_collection(
        name, model="motion-tiny", window_s=4.0, stride_s=2.0, metadata=metadata or {}
    )
    assert created
    return collection


def test_reads_back_what_was_made(catalog: Catalog, clock: HandClock) -> None:
    """A collection keeps its model, segmentation, metadata and time of creation."""
    made = make(catalog, "talks", {"deep": {"list": [1, None, "é"]}})
    assert made == catalog.get_collection("talks")
    assert (
        made.window_s,
        made.stride_s,
        made.model,
        made.sequence,
    ) == (4.0, 2.0, "motion-tiny", 0)
    assert clock.now() == made.created_at
    assert made.fingerprint is None
    assert made.dim is None


def test_a_name_is_made_once(catalog: Catalog) -> None:
    """Making a name that exists gives the one that exists, unchanged."""
    first = make(catalog, "talks", {"a": 1})
    again, created = catalog.create_collection("talks", model="x", window_s=1, stride_s=1)
    assert (first, False) == (again, created)


def test_one_of_many_makers_makes_it(catalog: Catalog) -> None:
    """However many make a name at once, one does, and all get the same."""
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(
                lambda _: catalog.create_collection("t", model="m", window_s=5, stride_s=2),
                "12345678",
            )
        )
    assert sum(created for _, created in made) == 1
    assert len({collection.id for collection, _ in made}) == 1


def test_lists_by_name_in_pages(catalog: Catalog) -> None:
    """Every collection is on exactly one page, in the order of names."""
    for name in ("b", "a", "zz", "c"):
        make(catalog, name)
    names, cursor = [], None
    while True:
        page = catalog.list_collections(cursor, limit=2)
        names += [collection.name for collection in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert names == ["a", "b", "c", "default", "zz"]


@pytest.mark.parametrize("cursor", ["!", "é", "Q", "_w"])
def test_refuses_cursors_of_others(catalog: Catalog, cursor: str) -> None:
    """A cursor that was not handed out is an error of its own."""
    with pytest.raises(InvalidCursor):
        catalog.list_collections(cursor)


def test_pages_hold_something(catalog: Catalog) -> None:
    """A page of nothing could never be read to its end."""
    with pytest.raises(ValueError, match="at least one"):
        catalog.list_collections(limit=0)


def test_replaces_metadata(catalog: Catalog) -> None:
    """New metadata stands in place of the old, not beside it."""
    make(catalog, "talks", {"old": 1})
    assert catalog.update_collection_metadata("talks", {"new": [2]}).metadata == {"new": [2]}
    assert catalog.get_collection("talks").metadata == {"new": [2]}


@pytest.mark.parametrize(
    "metadata", [{"x": float("nan")}, {"x": {1, 2}}, {1: "x"}, ["x"], {"x": b""}]
)
def test_metadata_is_json(catalog: Catalog, metadata: Metadata) -> None:
    """What JSON cannot say is refused before anything is written."""
    with pytest.raises(InvalidMetadata):
        make(catalog, "talks", metadata)
    with pytest.raises(InvalidMetadata):
        catalog.update_collection_metadata("default", metadata)
    with pytest.raises(InvalidMetadata):
        catalog.add_video_with_job("default", new_video("a", metadata))
    assert catalog.count_videos("default") == 0


def test_deletes_with_everything_in_it(catalog: Catalog) -> None:
    """Videos, segments and waiting jobs go, and everything of theirs on disk is to be removed."""
    make(catalog, "talks")
    ingest(catalog, "shared")
    shared = ingest(catalog, "shared", collection="talks")
    own = ingest(catalog, "own", collection="talks")
    waiting, job, _ = catalog.add_video_with_job("talks", new_video("waiting"))
    there = catalog.get_collection("talks")
    removals = catalog.removals(catalog.delete_collection("talks"))
    videos = (shared, own, waiting)
    assert {video.id for video in videos} == targets(removals, "thumbnails")
    assert {video.sha256 for video in videos} == targets(removals, "content")
    assert {there.id} == targets(removals, "calibrations")
    assert sum(one.length or 0 for one in removals) == 2 * 3 * 100  # bytes of each
    assert catalog.get_job(job.id).status == "canceled"
    assert catalog.claim_job("worker", 30) is None
    assert catalog.count_segments("talks") == 0
    assert (catalog.count_videos("default"), catalog.count_segments("default")) == (1, 3)


def targets(removals: list[Removal], kind: str) -> set[str]:
    return {one.target for one in removals if one.kind == kind}


def test_a_name_made_again_is_another_collection(catalog: Catalog) -> None:
    """An index kept for the deleted one can tell that it is not this one's."""
    ingest(catalog, "a")
    old = catalog.get_collection("default")
    catalog.delete_collection("default")
    new = make(catalog, "default")
    assert old.id != new.id
    assert (new.sequence, new.fingerprint) == (0, None)
    with pytest.raises(CollectionNotFound):
        catalog.changes_since(old.id, 0)


def test_a_worker_hears_that_its_collection_is_gone(catalog: Catalog) -> None:
    """Deleting takes the lease away from the one at work."""
    catalog.add_video_with_job("default", new_video("a"))
    job, token = claim(catalog)
    catalog.delete_collection("default")
    assert not catalog.heartbeat(job.id, token, stage="decode", progress=0.5, lease_s=30)


def test_unknown_names_are_named(catalog: Catalog) -> None:
    """Everything that names a collection says which one there is not."""
    for ask in (
        lambda: catalog.get_collection("none"),
        lambda: catalog.update_collection_metadata("none", {}),
        lambda: catalog.delete_collection("none"),
        lambda: catalog.add_video_with_job("none", new_video("a")),
        lambda: catalog.get_video("none", "vid_1"),
        lambda: catalog.list_videos("none"),
        lambda: catalog.update_video_metadata("none", "vid_1", {}),
        lambda: catalog.delete_video("none", "vid_1"),
        lambda: catalog.list_segments("none", "vid_1"),
        lambda: catalog.segments_by_ids("none", []),
        lambda: catalog.eligible_rows("none", None),
        lambda: catalog.changes_since("none", 0),
        lambda: catalog.load_vectors("none"),
    ):
        with pytest.raises(CollectionNotFound, match="none"):
            ask()
