"""What arrives: answers under keys and resumable uploads, committed with the videos they made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.catalog import Catalog
from app.catalog.errors import CollectionNotFound, KeyAnswered, UploadNotFound
from app.catalog.records import NewUpload, UploadKey
from app.catalog.uploads import UPLOAD_KEPT_S
from tests.app.catalog.samples import HandClock, new_video

KEY = UploadKey("someone", "monday's", "d" * 64)
NEW = NewUpload(10, "a.mp4", "video/mp4", {"camera": "north"})


def test_an_answer_is_committed_with_its_video_and_used_once(catalog: Catalog) -> None:
    """Under a key that was answered nothing more is added, whatever comes."""
    assert catalog.find_answer(KEY) is None
    video, job, queued = catalog.add_video_with_job("default", new_video("a"), key=KEY)
    answered = catalog.find_answer(KEY)
    assert answered is not None
    assert (answered.video_id, answered.job_id, answered.queued) == (video.id, job.id, queued)
    with pytest.raises(KeyAnswered):
        catalog.add_video_with_job("default", new_video("b"), key=KEY)
    assert catalog.list_videos("default").items == (video,)


def test_a_key_is_its_owners_only(catalog: Catalog) -> None:
    """Two owners may choose the same key."""
    catalog.add_video_with_job("default", new_video("a"), key=KEY)
    other = UploadKey("other", KEY.key, KEY.digest)
    assert catalog.find_answer(other) is None
    catalog.add_video_with_job("default", new_video("b"), key=other)


def test_an_answer_counts_until_it_expires_and_as_long_as_its_video(
    catalog: Catalog, clock: HandClock
) -> None:
    """Afterwards the key is as good as new; a clock that was set changes nothing."""
    first, _, _ = catalog.add_video_with_job("default", new_video("a"), key=KEY)
    catalog.delete_video("default", first.id)
    assert catalog.find_answer(KEY) is None
    catalog.add_video_with_job("default", new_video("a"), key=KEY)
    clock.jump(25)
    assert catalog.find_answer(KEY) is not None
    with pytest.raises(KeyAnswered):
        catalog.add_video_with_job("default", new_video("b"), key=KEY)
    clock.jump(-25)
    assert catalog.expire_idempotent_answers(clock.now() - timedelta(seconds=1)) == 0
    assert catalog.expire_idempotent_answers(clock.now()) == 1
    assert catalog.find_answer(KEY) is None
    catalog.add_video_with_job("default", new_video("b"), key=KEY)


def test_of_many_at_once_under_one_key_one_is_admitted(catalog: Catalog) -> None:
    """Also into different collections, where no lock is shared."""
    for number in range(4):
        catalog.create_collection(f"c{number}", model="m", window_s=5, stride_s=5)

    def add(number: int) -> bool:
        try:
            catalog.add_video_with_job(f"c{number % 4}", new_video(number), key=KEY)
        except KeyAnswered:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(add, range(8))) == 1
    assert sum(catalog.count_videos(f"c{number}") for number in range(4)) == 1


def test_an_upload_belongs_to_its_owner_and_its_collection(catalog: Catalog) -> None:
    """Others do not see it; it goes with the collection."""
    with pytest.raises(CollectionNotFound):
        catalog.create_upload("none", "someone", NEW)
    catalog.create_collection("other", model="m", window_s=5, stride_s=5)
    upload = catalog.create_upload("other", "someone", NEW)
    assert catalog.get_upload(upload.id, "someone") == upload
    with pytest.raises(UploadNotFound):
        catalog.get_upload(upload.id, "other")
    catalog.delete_collection("other")
    with pytest.raises(UploadNotFound):
        catalog.get_upload(upload.id, "someone")


def test_an_upload_is_finished_in_the_commit_of_its_video(catalog: Catalog) -> None:
    """No upload, no video."""
    upload = catalog.create_upload("default", "someone", NEW)
    assert catalog.list_unfinished_uploads() == [upload]
    video, job, _ = catalog.add_video_with_job("default", new_video("a"), upload_id=upload.id)
    finished = catalog.get_upload(upload.id, "someone")
    assert (finished.video_id, finished.job_id) == (video.id, job.id)
    assert catalog.list_unfinished_uploads() == []
    with pytest.raises(UploadNotFound):
        catalog.add_video_with_job("default", new_video("b"), upload_id="upl_gone")
    assert catalog.count_videos("default") == 1


def test_an_upload_expires_a_day_after_something_came(catalog: Catalog, clock: HandClock) -> None:
    """One that was prolonged since it was listed is not removed."""
    upload = catalog.create_upload("default", "someone", NEW)
    assert catalog.list_expired_uploads(clock.now()) == []
    clock.advance(UPLOAD_KEPT_S)
    assert catalog.list_expired_uploads(clock.now()) == [upload.id]
    catalog.prolong_upload(upload.id)
    assert not catalog.remove_expired_upload(upload.id, clock.now())
    clock.advance(UPLOAD_KEPT_S)
    assert catalog.remove_expired_upload(upload.id, clock.now())
    assert not catalog.remove_expired_upload(upload.id, clock.now())
