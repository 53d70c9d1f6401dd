"""Catalogs that released code wrote are opened by today's, and nothing of them is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.catalog import Catalog
from app.catalog.filters import parse_filter
from app.catalog.records import UploadKey
from app.security.api_keys import owner_of
from app.services.vectors.replica import IndexReplica
from tests.app.catalog.release import DUMPS, SECRET, fill
from tests.app.catalog.samples import HandClock, claim, complete, embeddings, rows_of

SCRIPTS = Path(__file__).parents[3] / "app" / "catalog" / "migrations" / "versions"
NEVER_RELEASED = {"0002", "0003"}  # they came together with 0004
REVISIONS = sorted(dump.stem for dump in DUMPS.glob("*.sql"))


@contextmanager
def opened(revision: str, folder: Path) -> Iterator[tuple[Catalog, HandClock]]:
    """A copy of the dumped catalog, opened by today's code."""
    file, clock = folder / "catalog.sqlite", HandClock()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((DUMPS / f"{revision}.sql").read_text("utf-8"))
    clock.advance(1)
    with Catalog.open(f"sqlite:///{file}", clock=clock) as catalog:
        yield catalog, clock


@pytest.fixture(scope="module")
def of_today(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """The same, written by today's code."""
    clock = HandClock()
    url = f"sqlite:///{tmp_path_factory.mktemp('today') / 'catalog.sqlite'}"
    with Catalog.open(url, clock=clock) as catalog:
        fill(catalog, clock)
        yield catalog


def contents(catalog: Catalog) -> dict[str, Any]:
    """What is there of every video, by its name, and of its job."""
    found: dict[str, Any] = {}
    for name in ("default", "cats"):
        collection = catalog.get_collection(name)
        found[name] = (collection.metadata, collection.model, collection.dim, collection.window_s)
        for video in catalog.list_videos(name).items:
            job = catalog.get_job(video.job_id)
            segments = catalog.list_segments(name, video.id)
            found[video.filename] = (
                (name, video.status, video.metadata, video.sha256, video.size_bytes),
                (video.codec, video.width, video.height, video.duration_s, video.error_code),
                (job.status, job.attempts, job.error_code),
                [(each.position, each.start_s, each.end_s, each.tensor) for each in segments],
                catalog.embeddings_by_rows(rows_of(catalog, video)).tolist(),
            )
    return found


def test_every_released_schema_has_a_dump() -> None:
    """The newest too, so that it is made while its code is there."""
    scripts = {script.stem[:4] for script in SCRIPTS.glob("[0-9]*.py")}
    assert set(REVISIONS) == scripts - NEVER_RELEASED


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_released_catalog_holds_what_it_held(
    revision: str, tmp_path: Path, of_today: Catalog
) -> None:
    """Videos, jobs, segments, vectors and metadata are there, and nothing contradicts itself."""
    with opened(revision, tmp_path) as (catalog, _):
        expected = contents(of_today)
        if revision < "0005":
            del expected["whole.mp4"]
        assert contents(catalog) == expected
        assert catalog.damaged_file() == []
        assert catalog.inconsistencies() == []
        if revision >= "0004":
            assert catalog.get_label_set("pets").labels == ("cat", "dog")
            collection = catalog.get_collection("default")
            assert (collection.calibration, collection.recall_candidates) == ("default-1.json", 50)
            assert len(catalog.secret("worker")) == len(of_today.secret("worker"))


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_released_catalog_is_searched_and_filled_further(revision: str, tmp_path: Path) -> None:
    """Filters and vectors find its segments, its jobs run, and what is deleted is gone."""
    with opened(revision, tmp_path) as (catalog, clock):
        by_name = {video.filename: video for video in catalog.list_videos("default").items}
        north = by_name["north.mp4"]
        rows = catalog.eligible_rows("default", parse_filter({"n": {"gte": 7}, "tags": "b"}))
        assert rows is not None
        assert rows.tolist() == rows_of(catalog, north)
        with closing(IndexReplica(catalog, threads=1)) as vectors:
            wanted = embeddings(1)[0]
            found = vectors.recall(catalog.get_collection("default"), wanted, 10, None)
            best = np.argsort(-np.concatenate([embeddings(3, 1), embeddings(3, 2)]) @ wanted)
            every = np.array(rows_of(catalog, north) + rows_of(catalog, by_name["south.mp4"]))
            assert found.rows.tolist() == every[best].tolist()
            clock.advance(3_600)
            while (job := catalog.claim_job("worker", 30)) is not None:
                complete(catalog, job, job.lease_token or "")
            assert catalog.list_jobs(status="queued").items == ()
            catalog.delete_video("default", north.id)
            found = vectors.recall(catalog.get_collection("default"), wanted, 100, None)
            assert not set(found.rows.tolist()) & set(rows.tolist())
        assert catalog.inconsistencies() == []


@pytest.mark.parametrize("revision", [revision for revision in REVISIONS if revision >= "0005"])
def test_keys_and_uploads_of_a_released_catalog_are_in_force(revision: str, tmp_path: Path) -> None:
    """A key that lived does, one that was revoked or has expired does not; uploads go on."""
    with opened(revision, tmp_path) as (catalog, clock):
        keys = {key.name: key for key in catalog.list_keys()}
        live, revoked, expired = (keys[name] for name in ("live", "revoked", "expired"))
        in_force = {key.id: key for key in catalog.keys_in_force()}
        texts = [
            f"xclip_{key.id.removeprefix('key_')}_{SECRET}" for key in (live, revoked, expired)
        ]
        owners = [owner_of(text.encode(), in_force, clock.now()) for text in texts]
        assert owners == [live, None, None]
        assert (live.scope, live.requests_per_minute) == ("write", 600)
        (half,) = catalog.list_unfinished_uploads()
        assert (half.filename, half.length, half.metadata) == ("half.mp4", 1_000, {"half": True})
        assert catalog.get_upload(half.id, live.id) == half
        answered = catalog.find_answer(UploadKey(live.id, "once", "0" * 64))
        assert answered is not None
        whole = catalog.get_video("default", answered.video_id)
        assert (whole.filename, list(whole.further_names)) == ("whole.mp4", [])
        assert claim(catalog)[0].status == "running"
