"""Videos: one for the same bytes, listed newest first, gone when deleted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.catalog import Catalog
from app.catalog.errors import VideoNotFound
from app.catalog.filters import parse_filter
from tests.app.catalog.samples import FACTS, HandClock, claim, complete, ingest, new_video, rows_of


def test_an_upload_is_a_video_and_a_queued_job(catalog: Catalog, clock: HandClock) -> None:
    """Both are there when the upload is answered, and point at each other."""
    new = new_video("a", {"title": "A"})
    video, job, queued = catalog.add_video_with_job("default", new)
    assert queued
    assert (video.id, "queued", 0, "ingest") == (job.video_id, job.status, job.attempts, job.kind)
    assert (job.id, "processing", "default") == (video.job_id, video.status, video.collection)
    assert (new.filename, new.content_type, new.size_bytes, new.sha256, new.metadata) == (
        video.filename,
        video.content_type,
        video.size_bytes,
        video.sha256,
        video.metadata,
    )
    assert clock.now() == video.created_at == job.created_at
    assert video == catalog.get_video("default", video.id)
    assert job == catalog.get_job(job.id)


def test_the_same_bytes_are_the_same_video(catalog: Catalog) -> None:
    """Uploading again, while it waits or when it is ready, makes no second video and no job."""
    video, job, _ = catalog.add_video_with_job("default", new_video("a"))
    waiting, same_job, queued = catalog.add_video_with_job("default", new_video("a", {"x": 1}))
    assert (waiting.id, same_job.id, queued) == (video.id, job.id, False)
    claimed, token = claim(catalog)
    complete(catalog, claimed, token)
    again, done, queued = catalog.add_video_with_job("default", new_video("a"))
    assert (video.id, "ready", job.id, "succeeded", False) == (
        again.id,
        again.status,
        done.id,
        done.status,
        queued,
    )
    assert catalog.count_videos("default") == 1


def test_one_of_many_uploads_of_the_same_bytes_is_kept(catalog: Catalog) -> None:
    """However many arrive at once, there is one video and one job."""
    with ThreadPoolExecutor(8) as pool:
        added = list(
            pool.map(lambda _: catalog.add_video_with_job("default", new_video("a")), range(8))
        )
    assert len({video.id for video, _, _ in added}) == 1
    assert len({job.id for _, job, _ in added}) == 1
    assert sum(queued for _, _, queued in added) == 1


def test_the_same_bytes_of_a_failed_video_get_a_new_job(catalog: Catalog) -> None:
    """Uploading what failed tries it again, as the same video, without its old error."""
    video, first, _ = catalog.add_video_with_job("default", new_video("a"))
    job, token = claim(catalog)
    catalog.fail_job(job.id, token, code="no_video_stream", message="No picture.", retry=False)
    failed = catalog.get_video("default", video.id)
    assert (
        failed.status,
        failed.error_code,
        failed.error_message,
    ) == ("failed", "no_video_stream", "No picture.")
    again, second, queued = catalog.add_video_with_job("default", new_video("a"))
    assert queued
    assert second.id != first.id
    assert (video.id, "processing", None, second.id) == (
        again.id,
        again.status,
        again.error_code,
        again.job_id,
    )


def test_collections_do_not_share_videos(catalog: Catalog) -> None:
    """The same bytes in two collections are two videos, and neither sees the other's."""
    catalog.create_collection("other", model="motion-tiny", window_s=5, stride_s=2.5)
    here, there = ingest(catalog, "a"), ingest(catalog, "a", collection="other")
    assert here.id != there.id
    with pytest.raises(VideoNotFound):
        catalog.get_video("default", there.id)
    with pytest.raises(VideoNotFound):
        catalog.delete_video("default", there.id)


def test_an_ingest_fills_in_the_facts(catalog: Catalog) -> None:
    """Container, codec, size and duration come from the decoder."""
    video = ingest(catalog, "a")
    assert video.status == "ready"
    assert (FACTS.container, FACTS.codec, FACTS.width, FACTS.height, FACTS.duration_s) == (
        video.container,
        video.codec,
        video.width,
        video.height,
        video.duration_s,
    )


def test_lists_the_newest_first_in_pages(catalog: Catalog, clock: HandClock) -> None:
    """Every video that was there from the start is on exactly one page, whatever comes between."""
    expected: list[str] = []
    for number in range(7):
        clock.advance(1)
        expected.insert(0, catalog.add_video_with_job("default", new_video(number))[0].id)
    listed, cursor = [], None
    while True:
        page = catalog.list_videos("default", cursor, limit=3)
        listed += [video.id for video in page.items]
        clock.advance(1)
        catalog.add_video_with_job("default", new_video(cursor))
        if (cursor := page.next_cursor) is None:
            break
    assert expected == listed


def test_lists_by_status(catalog: Catalog) -> None:
    """A status narrows the list."""
    ready = ingest(catalog, "a")
    waiting, _, _ = catalog.add_video_with_job("default", new_video("b"))
    assert (ready,) == catalog.list_videos("default", status="ready").items
    assert (waiting,) == catalog.list_videos("default", status="processing").items
    assert catalog.list_videos("default", status="failed").items == ()


def test_replaces_metadata_and_what_filters_find(catalog: Catalog) -> None:
    """A filter sees the new metadata and no longer the old."""
    video = ingest(catalog, "a", metadata={"day": 1, "old": True})
    updated = catalog.update_video_metadata("default", video.id, {"day": 2})
    assert {"day": 2} == updated.metadata == catalog.get_video("default", video.id).metadata
    found = [
        catalog.eligible_rows("default", parse_filter(each))
        for each in ({"day": 2}, {"day": 1}, {"old": True})
    ]
    assert [len(rows) for rows in found if rows is not None] == [3, 0, 0]


def test_a_deleted_video_is_gone(catalog: Catalog) -> None:
    """Its segments go with it, and its files and tensors are noted for removal, in one step."""
    video, kept = ingest(catalog, "a"), ingest(catalog, "b")
    rows = rows_of(catalog, video)
    tensors = [segment.tensor for segment in catalog.list_segments("default", video.id)]
    ids = catalog.delete_video("default", video.id)
    removals = {one.kind: one for one in catalog.removals(ids)}
    assert removals["content"].target == video.sha256
    assert removals["thumbnails"].target == video.id
    run = removals["tensor"]
    assert (run.target, run.offset) == (tensors[0].file, tensors[0].offset)
    assert run.length == sum(tensor.length for tensor in tensors)
    assert catalog.pending_removals().count == len(ids)
    catalog.end_removals(ids)
    assert (catalog.removals(ids), catalog.pending_removals().count) == ([], 0)
    assert catalog.segments_by_rows(rows) == []
    with pytest.raises(VideoNotFound, match=video.id):
        catalog.get_video("default", video.id)
    with pytest.raises(VideoNotFound, match=video.id):
        catalog.delete_video("default", video.id)
    assert (kept,) == catalog.list_videos("default").items
    assert catalog.get_job(video.job_id).status == "succeeded"


def test_bytes_used_elsewhere_are_known(catalog: Catalog) -> None:
    """A file may go from the disk only when no collection holds its video any more."""
    catalog.create_collection("other", model="motion-tiny", window_s=5, stride_s=2.5)
    here, there = ingest(catalog, "a"), ingest(catalog, "a", collection="other")
    catalog.delete_video("default", here.id)
    assert catalog.is_media_referenced(here.sha256)
    catalog.delete_video("other", there.id)
    assert not catalog.is_media_referenced(here.sha256)


def test_deleting_stops_the_work_on_it(catalog: Catalog) -> None:
    """The job of a deleted video is canceled, and the one at work hears it."""
    video, _, _ = catalog.add_video_with_job("default", new_video("a"))
    job, token = claim(catalog)
    catalog.delete_video("default", video.id)
    assert catalog.get_job(job.id).status == "canceled"
    assert not catalog.heartbeat(job.id, token, stage="decode", progress=0.1, lease_s=30)


def test_bytes_come_back_after_a_delete(catalog: Catalog) -> None:
    """The same bytes after a delete are a new video."""
    video = ingest(catalog, "a")
    catalog.delete_video("default", video.id)
    assert video.id != ingest(catalog, "a").id
