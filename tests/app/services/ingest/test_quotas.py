"""Quotas: one key fills neither the queue nor the disk that all share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.catalog import Catalog
from app.catalog.records import Job, NewUpload
from app.errors import QueueFull, QuotaExceeded, TooManyUploads
from app.services.ingest.quotas import Quotas
from app.settings import Settings
from tests.app.catalog.samples import HandClock, claim, new_video
from tests.app.services.arrivals import MAX_OPEN, OWNER, open_arrivals

GIB = 1024**3
SETTINGS = Settings(max_queued_jobs=6, max_queue_wait_s=1000, max_failed_bytes=5 * GIB)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """One with the collection `default`."""
    with Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite", clock=HandClock()) as opened:
        opened.create_collection("default", model="m", window_s=5.0, stride_s=2.5)
        yield opened


def add(catalog: Catalog, number: int, owner: str) -> Job:
    return catalog.add_video_with_job("default", new_video(number), owner=owner)[1]


def key(catalog: Catalog, name: str) -> None:
    catalog.create_key(name, "write", name.encode().ljust(32))


def test_a_key_has_half_of_the_queue_where_there_are_others(catalog: Catalog) -> None:
    """The others are let in, and a key that is alone may have all of it."""
    quotas = Quotas(catalog, SETTINGS)
    key(catalog, "many")
    for number in range(3):
        add(catalog, number, "many")
    quotas.check("many")
    key(catalog, "one")
    with pytest.raises(QueueFull):
        quotas.check("many")
    quotas.check("one")


def test_a_key_has_half_of_the_time_that_may_be_waited_for(catalog: Catalog) -> None:
    """A few giants are as much as many clips."""
    quotas = Quotas(catalog, SETTINGS)
    for name in ("giants", "clips"):
        key(catalog, name)
    add(catalog, 0, "giants")
    job, token = claim(catalog)
    catalog.price_job(job.id, token, 501)
    catalog.release_job(job.id, token)
    with pytest.raises(QueueFull):
        quotas.check("giants")
    quotas.check("clips")


def test_failed_videos_of_a_key_have_a_limit(catalog: Catalog) -> None:
    """A file of 5 GB that is no video is enough here; deleted or queued again it does not count."""
    quotas = Quotas(catalog, SETTINGS)
    for number in range(2):
        add(catalog, number, "careless")
        job, token = claim(catalog)
        quotas.check("careless")
        catalog.fail_job(job.id, token, code="unreadable_video", message="m", retry=False)
    with pytest.raises(QuotaExceeded):
        quotas.check("careless")
    quotas.check("other")
    catalog.retry_job(job.id)
    quotas.check("careless")
    catalog.cancel_job(job.id)
    with pytest.raises(QuotaExceeded):
        quotas.check("careless")
    catalog.delete_video("default", job.video_id)
    quotas.check("careless")


def test_announced_uploads_of_a_key_have_a_limit(tmp_path: Path) -> None:
    """The next one is refused until one is finished or deleted; those of others do not count."""
    with open_arrivals(tmp_path) as arrivals:
        uploads = arrivals.uploads
        new = NewUpload(3, "a.mp4", "video/mp4", {})
        first, *_, last = [uploads.create("default", OWNER, new) for _ in range(MAX_OPEN)]
        with pytest.raises(TooManyUploads):
            uploads.create("default", OWNER, new)
        uploads.create("default", "other", new)
        uploads.remove(last.upload.id, OWNER)
        uploads.create("default", OWNER, new)
        arrivals.send(first.upload.id, 0, b"abc", None)
        uploads.create("default", OWNER, new)
