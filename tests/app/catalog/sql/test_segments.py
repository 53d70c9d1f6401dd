"""Segments: what an ingest put in, found by row, by id and by video."""

from __future__ import annotations

import pytest

from app.catalog import Catalog
from app.catalog.errors import SegmentNotFound, VideoNotFound
from tests.app.catalog.samples import claim, complete, ingest, new_segments, new_video, rows_of


def test_lists_a_videos_segments_in_time_order(catalog: Catalog) -> None:
    """Times and tensor references come back as they went in."""
    video = ingest(catalog, "a", count=5)
    listed = catalog.list_segments("default", video.id)
    assert new_segments(5) == [
        type(new)(each.position, each.start_s, each.end_s, each.tensor)
        for each, new in zip(listed, new_segments(5), strict=True)
    ]
    assert {video.id} == {segment.video_id for segment in listed}
    with pytest.raises(VideoNotFound):
        catalog.list_segments("default", "vid_none")


def test_finds_rows_in_the_order_asked_beside_their_video(catalog: Catalog) -> None:
    """Hits of an index are looked up in one go; rows that are gone are left out."""
    videos = [ingest(catalog, number, count=4) for number in range(3)]
    rows = [row for video in videos for row in rows_of(catalog, video)]
    asked = [rows[9], 10**9, rows[0], rows[5]]
    found = catalog.segments_by_rows(asked)
    assert [rows[9], rows[0], rows[5]] == [each.segment.row for each in found]
    assert [videos[2], videos[0], videos[1]] == [each.video for each in found]
    assert catalog.segments_by_rows([]) == []


def test_finds_more_rows_than_one_statement_takes(catalog: Catalog) -> None:
    """A thousand rows are one question to the caller."""
    video = ingest(catalog, "long", count=1203)
    rows = rows_of(catalog, video)[::-1]
    assert rows == [each.segment.row for each in catalog.segments_by_rows(rows)]


def test_finds_ids_of_the_collection_only(catalog: Catalog) -> None:
    """An unknown id, and one of another collection, are named."""
    catalog.create_collection("other", model="motion-tiny", window_s=5, stride_s=2.5)
    here = catalog.list_segments("default", ingest(catalog, "a").id)
    there = catalog.list_segments("other", ingest(catalog, "b", collection="other").id)
    found = catalog.segments_by_ids("default", [here[2].id, here[0].id, here[2].id])
    assert [here[2], here[0], here[2]] == [each.segment for each in found]
    for unknown in ("seg_none", there[0].id):
        with pytest.raises(SegmentNotFound, match=unknown):
            catalog.segments_by_ids("default", [here[0].id, unknown])


def test_rows_are_never_used_again(catalog: Catalog) -> None:
    """An index that lags behind cannot take a new segment for a deleted one."""
    seen: set[int] = set()
    for _ in range(3):
        video = ingest(catalog, "a")
        rows = set(rows_of(catalog, video))
        assert not rows & seen
        seen |= rows
        catalog.delete_video("default", video.id)


def test_completing_twice_is_completing_once(catalog: Catalog) -> None:
    """A worker whose answer was lost asks again, and nothing changes."""
    video, _, _ = catalog.add_video_with_job("default", new_video("a"))
    first, old_token = claim(catalog, lease_s=30)
    complete(catalog, first, old_token, count=5)
    before = rows_of(catalog, video)
    assert complete(catalog, first, old_token, count=5).status == "succeeded"
    assert before == rows_of(catalog, video)
    assert 5 == catalog.count_segments("default") == catalog.get_collection("default").sequence
