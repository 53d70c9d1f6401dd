"""The followed vectors: always what the catalog says, however they got there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from app.catalog import Catalog
from app.catalog.records import Collection, NewSegment, NewVideo, VideoFacts
from app.services.vectors.port import Recall
from app.services.vectors.replica import IndexReplica
from index import TensorReference

DIM = 8


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}") as opened:
        opened.create_collection("default", model="m", window_s=1, stride_s=1)
        yield opened


def add_video(catalog: Catalog, number: int, segments: int, name: str = "default") -> str:
    """A ready video with that many segments at random places; returns its id."""
    new = NewVideo("a.mp4", "video/mp4", 1, f"{number:064x}", {"number": number})
    video, _, _ = catalog.add_video_with_job(name, new)
    job = catalog.claim_job("worker", 60)
    assert job is not None
    vectors = np.random.default_rng(number).normal(size=(segments, DIM)).astype(np.float32)
    catalog.complete_ingest(
        job.id,
        job.lease_token,
        facts=VideoFacts("mp4", "h264", 1, 1, float(segments)),
        segments=[
            NewSegment(place, place, place + 1.0, TensorReference("t", place, 1, 0))
            for place in range(segments)
        ],
        embeddings=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        fingerprint="f",
    )
    return video.id


def rows(catalog: Catalog, name: str = "default") -> set[int]:
    videos = catalog.list_videos(name, limit=200).items
    return {s.row for video in videos for s in catalog.list_segments(name, video.id)}


QUERY = np.eye(DIM, dtype=np.float32)[0]


def recall(vectors: IndexReplica, catalog: Catalog, name: str = "default") -> Recall:
    return vectors.recall(catalog.get_collection(name), QUERY, 1000, None)


@pytest.mark.parametrize("seed", range(4))
def test_following_equals_loading(catalog: Catalog, seed: int):
    """After any history of additions and deletions, at any reading, both see the same rows."""
    random = np.random.default_rng(seed)
    following = IndexReplica(catalog, threads=1)
    alive: list[str] = []
    for number in range(25):
        if alive and random.random() < 0.4:
            catalog.delete_video("default", alive.pop(int(random.integers(len(alive)))))
        else:
            alive.append(add_video(catalog, seed * 100 + number, int(random.integers(1, 5))))
        if random.random() < 0.5:
            seen = recall(following, catalog)
            assert set(seen.rows.tolist()) == rows(catalog)
    loading = IndexReplica(catalog, threads=1)
    loading.prepare()
    one, other = recall(following, catalog), recall(loading, catalog)
    assert one.rows.tolist() == other.rows.tolist()
    assert (one.total, one.sequence) == (other.total, other.sequence)
    assert one.sequence == catalog.get_collection("default").sequence


def test_allowed_rows_are_counted_and_chosen_first(catalog: Catalog):
    """The best of the allowed, not the allowed of the best."""
    add_video(catalog, 1, 40)
    chosen = np.array(sorted(rows(catalog))[::10], np.int64)
    vectors = IndexReplica(catalog, threads=1)
    found = vectors.recall(catalog.get_collection("default"), QUERY, 2, chosen)
    assert len(found.rows) == 2
    assert set(found.rows.tolist()) <= set(chosen.tolist())
    assert (found.total, found.eligible) == (40, 4)


def test_a_recall_says_how_near_its_rows_are_and_which_row_was_the_last(catalog: Catalog):
    """Inner products with half-precision rows, best first; the last row stays when it is gone."""
    gone = add_video(catalog, 1, 5)
    add_video(catalog, 2, 5)
    last = add_video(catalog, 3, 5)
    vectors = IndexReplica(catalog, threads=1)
    before = recall(vectors, catalog)
    assert before.last_row == max(rows(catalog))
    assert before.scores.tolist() == sorted(before.scores.tolist(), reverse=True)
    stored = catalog.embeddings_by_rows(before.rows.tolist())
    np.testing.assert_allclose(before.scores, stored @ QUERY, atol=1e-3)
    for video in (gone, last):
        catalog.delete_video("default", video)
    after = recall(vectors, catalog)
    assert (after.total, after.last_row) == (5, before.last_row)
    add_video(catalog, 4, 1)
    assert recall(vectors, catalog).last_row > before.last_row


def test_a_collection_made_again_starts_empty(catalog: Catalog):
    """A name is not an identity: what the old collection held never shows in the new one."""
    catalog.create_collection("again", model="m", window_s=1, stride_s=1)
    vectors = IndexReplica(catalog, threads=1)
    add_video(catalog, 1, 3, "again")
    assert recall(vectors, catalog, "again").total == 3
    catalog.delete_collection("again")
    catalog.create_collection("again", model="m", window_s=1, stride_s=1)
    assert recall(vectors, catalog, "again").total == 0
    add_video(catalog, 2, 2, "again")
    assert set(recall(vectors, catalog, "again").rows.tolist()) == rows(catalog, "again")


def test_a_stale_view_never_turns_the_index_back(catalog: Catalog):
    """A search that read the collection long ago sees at least what it read, and harms nobody."""
    before: Collection = catalog.get_collection("default")
    add_video(catalog, 1, 2)
    vectors = IndexReplica(catalog, threads=1)
    assert recall(vectors, catalog).total == 2
    assert vectors.recall(before, QUERY, 10, None).total == 2
    assert recall(vectors, catalog).total == 2


def test_searches_beside_changes_see_whole_videos(catalog: Catalog):
    """Threads that search while videos come and go never see half of one, nor fail."""
    vectors = IndexReplica(catalog, threads=1)
    keep = add_video(catalog, 0, 3)
    assert keep

    def change() -> None:
        for number in range(1, 12):
            video = add_video(catalog, number, 3)
            if number % 2:
                catalog.delete_video("default", video)

    with ThreadPoolExecutor(4) as pool:
        changing = pool.submit(change)
        totals = []
        while not changing.done():
            readings = [pool.submit(recall, vectors, catalog) for _ in range(3)]
            totals += [reading.result().total for reading in readings]
        changing.result()
    assert all(total % 3 == 0 and total >= 3 for total in totals)
    assert recall(vectors, catalog).total == len(rows(catalog))


def test_a_large_collection_is_searched_by_codes_after_a_while(catalog: Catalog):
    """Searches are exact until the codes are there; then they say what those recall."""
    for number in range(10):
        add_video(catalog, number, 100)
    with closing(IndexReplica(catalog, threads=1, exact_up_to=500)) as vectors:
        exact = IndexReplica(catalog, threads=1)
        collection = catalog.get_collection("default")
        found = vectors.recall(collection, QUERY, 10, None)
        while found.measured is None:
            assert found.rows.tolist() == exact.recall(collection, QUERY, 10, None).rows.tolist()
            time.sleep(0.01)
            found = vectors.recall(collection, QUERY, 10, None)
        assert 0.9 <= found.measured <= 1
        assert len(found.rows) == 10
        few = np.array(sorted(rows(catalog))[:300], np.int64)
        assert vectors.recall(collection, QUERY, 10, few).measured is None
        catalog.delete_video("default", catalog.list_videos("default", limit=1).items[0].id)
        assert set(recall(vectors, catalog).rows.tolist()) == rows(catalog)
