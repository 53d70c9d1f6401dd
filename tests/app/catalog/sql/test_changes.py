"""Changes: an index that follows the sequence holds what the catalog holds, always."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from app.catalog import Catalog
from app.catalog.records import Video
from tests.app.catalog.samples import HandClock, embeddings, follow, ingest, rows_of


class Following(RuleBasedStateMachine):
    """Videos come and go; an index looks from time to time."""

    videos: Bundle[tuple[Video, list[int]]] = Bundle("videos")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.catalog = Catalog.open(f"sqlite:///{self.folder / 'catalog.db'}", clock=HandClock())
        self.catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
        self.id = self.catalog.get_collection("default").id
        self.truth: dict[int, bytes] = {}
        self.sequence, self.followed = 0, dict[int, bytes]()
        self.made = 0

    @rule(target=videos, count=st.integers(1, 4))
    def add(self, count: int) -> tuple[Video, list[int]]:
        self.made += 1
        video = ingest(self.catalog, self.made, count=count, seed=self.made)
        rows = rows_of(self.catalog, video)
        self.truth |= dict(
            zip(rows, [each.tobytes() for each in embeddings(count, self.made)], strict=True)
        )
        return video, rows

    @rule(video=consumes(videos))
    def delete(self, video: tuple[Video, list[int]]) -> None:
        self.catalog.delete_video("default", video[0].id)
        for row in video[1]:
            del self.truth[row]

    @rule(limit=st.integers(1, 5))
    def look(self, limit: int) -> None:
        self.sequence, self.followed = follow(
            self.catalog, self.id, self.sequence, self.followed, limit
        )
        assert self.truth == self.followed
        assert self.catalog.get_collection("default").sequence == self.sequence

    @rule(batch=st.integers(1, 5))
    def start_anew(self, batch: int) -> None:
        sequence, batches = self.catalog.load_vectors(self.id, batch)
        loaded = {
            row: vector.tobytes()
            for each in batches
            for row, vector in zip(each.rows.tolist(), each.vectors, strict=True)
        }
        assert self.truth == loaded
        assert self.catalog.get_collection("default").sequence == sequence

    @invariant()
    def counted(self) -> None:
        assert len(self.truth) == self.catalog.count_segments("default")

    def teardown(self) -> None:
        self.catalog.close()
        shutil.rmtree(self.folder)


def test_following_gives_the_truth_after_any_history() -> None:
    """From any point, in batches of any size, the changes lead to the present state."""
    run_state_machine_as_test(
        Following, settings=settings(max_examples=12, stateful_step_count=12, deadline=None)
    )


def test_vectors_keep_their_bits(catalog: Catalog) -> None:
    """Vectors come back bit for bit, as float32 rows in the order of their segments."""
    rows = rows_of(catalog, ingest(catalog, "a", count=3, seed=5))
    collection = catalog.get_collection("default")
    expected = embeddings(3, 5)
    changes = catalog.changes_since(collection.id, 0)
    assert [(1, "add", rows[0]), (2, "add", rows[1]), (3, "add", rows[2])] == [
        (change.sequence, change.kind, change.row) for change in changes
    ]
    np.testing.assert_array_equal(expected, [change.vector for change in changes])
    _, batches = catalog.load_vectors(collection.id)
    (batch,) = batches
    assert (rows, "int64", "float32") == (
        batch.rows.tolist(),
        batch.rows.dtype.name,
        batch.vectors.dtype.name,
    )
    np.testing.assert_array_equal(expected, batch.vectors)


def test_what_changes_while_vectors_load_is_in_the_changes(catalog: Catalog) -> None:
    """An index that loads during writes and then follows ends where the catalog is."""
    gone = ingest(catalog, "gone", count=3)
    ingest(catalog, "kept", count=3)
    collection = catalog.get_collection("default")
    sequence, batches = catalog.load_vectors(collection.id, batch=2)
    loaded: dict[int, bytes] = {}
    for number, batch in enumerate(batches):
        loaded |= dict(
            zip(batch.rows.tolist(), [row.tobytes() for row in batch.vectors], strict=True)
        )
        if number == 0:
            catalog.delete_video("default", gone.id)
            ingest(catalog, "new", count=3, seed=1)
    _, followed = follow(catalog, collection.id, sequence, loaded, 100)
    _, truth = follow(catalog, collection.id, 0, {}, 100)
    assert len(truth) == 6
    assert truth == followed


def test_an_empty_collection_has_nothing_to_load(catalog: Catalog) -> None:
    """Before the first ingest there is no width and no vector."""
    collection = catalog.get_collection("default")
    sequence, batches = catalog.load_vectors(collection.id)
    assert (sequence, list(batches)) == (0, [])
    assert catalog.changes_since(collection.id, 0) == []


def test_collections_count_for_themselves(catalog: Catalog) -> None:
    """A change in one collection is no change in another."""
    other, _ = catalog.create_collection("other", model="m", window_s=5, stride_s=2.5)
    ingest(catalog, "a")
    ingest(catalog, "b", collection="other", count=2)
    assert catalog.get_collection("default").sequence == 3
    assert [change.sequence for change in catalog.changes_since(other.id, 0)] == [1, 2]
