"""What keeps rows and files true to each other, on every database."""

from __future__ import annotations

from app.catalog import Catalog
from app.catalog.records import NewUpload
from tests.app.catalog.samples import claim, complete, ingest, new_video


def test_a_library_in_use_is_consistent(catalog: Catalog) -> None:
    """Videos that wait, run, have failed, are ready, were replaced, deleted or never were."""
    assert catalog.inconsistencies() == []
    catalog.create_collection("other", model="motion-tiny", window_s=5, stride_s=2.5)
    for content in range(3):
        ingest(catalog, content, collection="other" if content else "default")
    (gone, again) = catalog.list_videos("other").items
    catalog.delete_video("other", gone.id)
    assert catalog.queue_rebuild(again.id)
    complete(catalog, *claim(catalog), count=5)
    catalog.add_video_with_job("default", new_video("failed"))
    job, token = claim(catalog)
    catalog.fail_job(job.id, token, code="broken", message="Broken.", retry=False)
    catalog.add_video_with_job("default", new_video("runs"))
    claim(catalog)
    catalog.add_video_with_job("default", new_video("waits"))
    assert catalog.inconsistencies() == []
    assert catalog.damaged_file() == []
    first = catalog.videos_after("", 3)
    rest = catalog.videos_after(first[-1].id, 3)
    assert len({video.id for video in first + rest}) == 5
    assert {video.collection for video in first + rest} == {"default", "other"}


def test_a_rebuild_keeps_what_is_there_until_it_is_done(catalog: Catalog) -> None:
    """The video stays ready; one job at a time; the old rows go with the commit of the new."""
    video = ingest(catalog, "a")
    before = catalog.list_segments("default", video.id)
    job_id = catalog.queue_rebuild(video.id)
    assert catalog.queue_rebuild(video.id) is None
    there = catalog.get_video("default", video.id)
    assert (there.status, there.job_id) == ("ready", job_id)
    assert catalog.list_segments("default", video.id) == before
    rows = [segment.row for segment in before]
    assert set(catalog.existing_segments(rows)) == set(rows)
    complete(catalog, *claim(catalog))
    assert catalog.existing_segments(rows) == {}
    removals = catalog.removals_after(0)
    assert [one.kind for one in removals] == ["tensor"]
    assert removals[0].length == sum(segment.tensor.length for segment in before)


def test_a_rebuild_that_failed_is_repeated_only_on_request(catalog: Catalog) -> None:
    """What is there stays; a search that meets the damage again starts no second job."""
    video = ingest(catalog, "a")
    catalog.queue_rebuild(video.id)
    job, token = claim(catalog)
    catalog.fail_job(job.id, token, code="broken", message="Broken.", retry=False)
    assert catalog.get_video("default", video.id).status == "ready"
    assert catalog.queue_rebuild(video.id) is None
    assert catalog.inconsistencies() == []
    catalog.retry_job(job.id)
    assert catalog.get_video("default", video.id).status == "ready"
    catalog.cancel_job(job.id)
    assert catalog.queue_rebuild(video.id, after_failure=True) is not None
    assert catalog.inconsistencies() == []


def test_what_never_was_ready_is_not_rebuilt(catalog: Catalog) -> None:
    """It waits, has failed, or is gone: there is nothing to make again."""
    waiting, _, _ = catalog.add_video_with_job("default", new_video("a"))
    assert catalog.queue_rebuild(waiting.id, after_failure=True) is None
    catalog.cancel_job(waiting.job_id)
    assert catalog.queue_rebuild(waiting.id, after_failure=True) is None
    assert catalog.queue_rebuild("vid_none", after_failure=True) is None


def test_a_copy_begins_anew(catalog: Catalog) -> None:
    """Nothing in it speaks of files that were not copied, or of workers of the original."""
    ingest(catalog, "gone")
    (video,) = catalog.list_videos("default").items
    catalog.delete_video("default", video.id)
    catalog.create_upload("default", "anonymous", NewUpload(5, "a.mp4", "video/mp4", {}))
    catalog.add_video_with_job("default", new_video("a"))
    job, token = claim(catalog)
    catalog.settle_copy()
    assert catalog.pending_removals().count == 0
    assert catalog.list_unfinished_uploads() == []
    assert not catalog.heartbeat(job.id, token, stage="decode", progress=0.5, lease_s=30)
    again, _ = claim(catalog)
    assert (again.id, again.attempts) == (job.id, 1)


def test_files_are_asked_about_by_name(catalog: Catalog) -> None:
    """Which contents, videos, tensor files and calibrations somebody refers to."""
    video = ingest(catalog, "a", count=4)
    (run,) = catalog.tensor_runs()
    assert (run.file, run.length) == ("wrk.tensors", 400)
    assert catalog.is_tensor_file_referenced("wrk.tensors")
    assert not catalog.is_tensor_file_referenced("other.tensors")
    assert catalog.media_in_use() == {video.sha256}
    assert catalog.known_videos([video.id, "vid_none"]) == {video.id}
    collection = catalog.get_collection("default")
    assert catalog.collection_ids() == {collection.id}
    assert catalog.calibrations_in_use() == set()
    catalog.set_calibration("default", f"{collection.id}-0123")
    assert catalog.calibrations_in_use() == {f"{collection.id}-0123"}
    stored = catalog.stored_segments(video.id)
    assert [each.segment for each in stored] == catalog.list_segments("default", video.id)
    assert all(each.vector is not None and len(each.vector) == 16 for each in stored)
