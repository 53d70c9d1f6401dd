"""Label sets: lists of labels under a name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.catalog import Catalog
from app.catalog.errors import InvalidCursor, LabelSetNotFound
from tests.app.catalog.samples import HandClock, ingest, rows_of


def test_a_label_set_comes_back_as_it_was_put(catalog: Catalog) -> None:
    """Order, templates and any script survive."""
    put, created = catalog.put_label_set("sports", ["judo", "Fußball", "相撲"], ["a video of {}"])
    assert created
    assert catalog.get_label_set("sports") == put
    assert put.labels == ("judo", "Fußball", "相撲")
    assert put.templates == ("a video of {}",)


def test_putting_again_replaces(catalog: Catalog, clock: HandClock) -> None:
    """All of the old content goes, the time of creation stays."""
    old, _ = catalog.put_label_set("sports", ["judo", "sumo"], ["a video of {}"])
    clock.advance(60)
    new, created = catalog.put_label_set("sports", ["golf", "polo"], [])
    assert not created
    assert catalog.get_label_set("sports") == new
    assert (new.labels, new.templates) == (("golf", "polo"), ())
    assert (new.created_at, new.updated_at) == (old.created_at, clock.now())


def test_putting_the_same_changes_nothing(catalog: Catalog, clock: HandClock) -> None:
    """A repeated request leaves no trace, not even a time."""
    first, _ = catalog.put_label_set("sports", ["judo", "sumo"], [])
    clock.advance(60)
    assert catalog.put_label_set("sports", ["judo", "sumo"], []) == (first, False)
    assert catalog.get_label_set("sports") == first


def test_the_list_is_by_name_and_in_pages(catalog: Catalog) -> None:
    """A list tells how many labels there are, and does not carry them."""
    for name, size in (("c", 2), ("a", 10_000), ("b", 3)):
        catalog.put_label_set(name, [f"label {n}" for n in range(size)], [])
    first = catalog.list_label_sets(limit=2)
    second = catalog.list_label_sets(first.next_cursor, 2)
    assert [(item.name, item.size) for item in first.items] == [("a", 10_000), ("b", 3)]
    assert [(item.name, item.size) for item in second.items] == [("c", 2)]
    assert second.next_cursor is None
    with pytest.raises(InvalidCursor):
        catalog.list_label_sets("!")


def test_a_deleted_label_set_is_gone(catalog: Catalog) -> None:
    """What is not there is neither read nor deleted."""
    catalog.put_label_set("sports", ["judo", "sumo"], [])
    catalog.delete_label_set("sports")
    for ask in (catalog.get_label_set, catalog.delete_label_set):
        with pytest.raises(LabelSetNotFound, match="sports"):
            ask("sports")


def test_many_may_put_at_once(catalog: Catalog) -> None:
    """One of them creates it, the others find it."""
    with ThreadPoolExecutor(8) as pool:
        done = list(
            pool.map(lambda n: catalog.put_label_set("sports", ["a", str(n)], []), range(8))
        )
    assert [created for _, created in done].count(True) == 1
    assert len(catalog.list_label_sets().items) == 1


def test_rows_by_video_are_in_order_of_time(catalog: Catalog) -> None:
    """The newest video first; only those asked for, and only of this collection."""
    catalog.create_collection("other", model="m", window_s=5, stride_s=2.5)
    old, new = ingest(catalog, "a"), ingest(catalog, "b")
    ingest(catalog, "c", collection="other")
    found = catalog.rows_by_video("default")
    assert {video: rows.tolist() for video, rows in found.items()} == {
        video.id: rows_of(catalog, video) for video in (new, old)
    }
    # Ids sort by the millisecond they were made in; these two may have been made in one.
    assert list(found) == sorted([new.id, old.id], reverse=True)
    assert list(catalog.rows_by_video("default", [old.id, "vid_none"])) == [old.id]
