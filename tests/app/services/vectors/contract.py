"""What every implementation of the vector port promises. To test one, subclass and override `make`.

Each test gets a real catalog with the empty collection `default`, and changes it as the service
does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from app.catalog import Catalog
from app.catalog.records import NewSegment, NewVideo, VideoFacts
from app.services.vectors.port import Recall, VectorPort
from index import TensorReference

DIM = 8
QUERY = np.eye(DIM, dtype=np.float32)[0]


def add_video(catalog: Catalog, number: int, segments: int, name: str = "default") -> str:
    """A ready video with that many segments in random directions; returns its id."""
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
        model="motion-tiny",
        fingerprint="f",
    )
    return video.id


def rows_of(catalog: Catalog, name: str = "default") -> set[int]:
    """The rows of all segments that the catalog has."""
    videos = catalog.list_videos(name, limit=200).items
    return {s.row for video in videos for s in catalog.list_segments(name, video.id)}


def recall(vectors: VectorPort, catalog: Catalog, name: str = "default") -> Recall:
    """All rows of the collection as it is now."""
    return vectors.recall(catalog.get_collection(name), QUERY, 1000, None)


class VectorPortContract:
    """The promises of `VectorPort`, whatever stands behind it."""

    def make(self, catalog: Catalog) -> VectorPort:
        raise NotImplementedError

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "catalog.sqlite"

    @pytest.fixture
    def catalog(self, file: Path) -> Iterator[Catalog]:
        with Catalog.open(f"sqlite:///{file}") as opened:
            opened.create_collection("default", model="m", window_s=1, stride_s=1)
            yield opened

    @pytest.fixture
    def vectors(self, catalog: Catalog) -> Iterator[VectorPort]:
        with closing(self.make(catalog)) as opened:
            yield opened

    @pytest.mark.parametrize("seed", range(4))
    def test_following_equals_loading(self, catalog: Catalog, vectors: VectorPort, seed: int):
        """After any history of additions and deletions, at any reading, both see the same rows."""
        random = np.random.default_rng(seed)
        alive: list[str] = []
        for number in range(25):
            if alive and random.random() < 0.4:
                catalog.delete_video("default", alive.pop(int(random.integers(len(alive)))))
            else:
                alive.append(add_video(catalog, seed * 100 + number, int(random.integers(1, 5))))
            if random.random() < 0.5:
                assert set(recall(vectors, catalog).rows.tolist()) == rows_of(catalog)
        with closing(self.make(catalog)) as loading:
            loading.prepare()
            one, other = recall(vectors, catalog), recall(loading, catalog)
        assert one.rows.tolist() == other.rows.tolist()
        assert (one.total, one.sequence) == (other.total, other.sequence)
        assert one.sequence == catalog.get_collection("default").sequence

    def test_an_empty_collection_recalls_nothing(self, catalog: Catalog, vectors: VectorPort):
        """Before its first video a collection has no width; that is no error."""
        vectors.prepare()
        found = recall(vectors, catalog)
        assert (len(found.rows), len(found.scores)) == (0, 0)
        assert (found.total, found.eligible, found.sequence, found.last_row) == (0, 0, 0, 0)
        assert vectors.last_row(catalog.get_collection("default")) == 0

    def test_allowed_rows_are_counted_and_chosen_first(self, catalog: Catalog, vectors: VectorPort):
        """The best of the allowed, not the allowed of the best."""
        add_video(catalog, 1, 40)
        chosen = np.array(sorted(rows_of(catalog))[::10], np.int64)
        collection = catalog.get_collection("default")
        found = vectors.recall(collection, QUERY, 2, chosen)
        stored = catalog.embeddings_by_rows(chosen.tolist())
        assert found.rows.tolist() == chosen[np.argsort(-(stored @ QUERY))[:2]].tolist()
        assert (found.total, found.eligible) == (40, 4)
        none = vectors.recall(collection, QUERY, 2, np.empty(0, np.int64))
        assert (len(none.rows), none.total, none.eligible) == (0, 40, 0)

    def test_scores_are_inner_products_best_first(self, catalog: Catalog, vectors: VectorPort):
        """As near as half precision allows."""
        add_video(catalog, 1, 15)
        found = recall(vectors, catalog)
        assert found.measured is None
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
        stored = catalog.embeddings_by_rows(found.rows.tolist())
        np.testing.assert_allclose(found.scores, stored @ QUERY, atol=1e-3)

    def test_the_last_row_stays_when_it_is_deleted(self, catalog: Catalog, vectors: VectorPort):
        """It is the highest row that there ever was, so every later row is above it."""
        add_video(catalog, 1, 5)
        last = add_video(catalog, 2, 5)
        before = recall(vectors, catalog)
        assert before.last_row == max(rows_of(catalog))
        catalog.delete_video("default", last)
        after = recall(vectors, catalog)
        assert (after.total, after.last_row) == (5, before.last_row)
        assert vectors.last_row(catalog.get_collection("default")) == before.last_row
        add_video(catalog, 3, 1)
        assert vectors.last_row(catalog.get_collection("default")) > before.last_row

    def test_a_collection_made_again_starts_empty(self, catalog: Catalog, vectors: VectorPort):
        """A name is not an identity: what the old collection held never shows in the new one."""
        catalog.create_collection("again", model="m", window_s=1, stride_s=1)
        add_video(catalog, 1, 3, "again")
        assert recall(vectors, catalog, "again").total == 3
        catalog.delete_collection("again")
        catalog.create_collection("again", model="m", window_s=1, stride_s=1)
        assert recall(vectors, catalog, "again").total == 0
        add_video(catalog, 2, 2, "again")
        assert set(recall(vectors, catalog, "again").rows.tolist()) == rows_of(catalog, "again")

    def test_sizes_are_of_what_is_there(self, catalog: Catalog, vectors: VectorPort):
        """One figure for each collection that was searched, none for one that was forgotten."""
        catalog.create_collection("other", model="m", window_s=1, stride_s=1)
        add_video(catalog, 1, 3)
        add_video(catalog, 2, 4, "other")
        for name in ("default", "other"):
            recall(vectors, catalog, name)
        assert vectors.sizes() == {"default": 3, "other": 4}
        catalog.delete_collection("other")
        vectors.forget("other")
        vectors.forget("never there")
        assert vectors.sizes() == {"default": 3}

    def test_a_stale_view_never_turns_the_vectors_back(self, catalog: Catalog, vectors: VectorPort):
        """A search that read the collection long ago sees at least what it read."""
        add_video(catalog, 1, 1)
        before = catalog.get_collection("default")
        add_video(catalog, 2, 1)
        assert recall(vectors, catalog).total == 2
        assert vectors.recall(before, QUERY, 10, None).total == 2
        assert recall(vectors, catalog).total == 2

    def test_a_damaged_vector_is_counted_apart(
        self, catalog: Catalog, vectors: VectorPort, file: Path
    ):
        """It is found by nothing and in no count but its own, which a filter narrows too."""
        add_video(catalog, 1, 5)
        bad, *good = sorted(rows_of(catalog))
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE embeddings SET vector = ? WHERE row = ?", (b"bad", bad))
        found = recall(vectors, catalog)
        assert set(found.rows.tolist()) == set(good)
        assert (found.total, found.eligible, found.damaged) == (4, 4, 1)
        collection = catalog.get_collection("default")
        for allowed, eligible, damaged in (([bad, good[0]], 1, 1), (good[:2], 2, 0)):
            narrowed = vectors.recall(collection, QUERY, 9, np.array(allowed, np.int64))
            assert (narrowed.eligible, narrowed.damaged) == (eligible, damaged)

    def test_searches_beside_changes_see_whole_videos(self, catalog: Catalog, vectors: VectorPort):
        """Threads that search while videos come and go never see half of one, nor fail."""
        add_video(catalog, 0, 3)

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
        assert recall(vectors, catalog).total == len(rows_of(catalog))
