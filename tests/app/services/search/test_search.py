"""A search whose catalog changes between its steps, or whose vectors are found another way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from app.catalog import Catalog
from app.catalog.errors import SegmentNotFound
from app.catalog.filters import Condition, parse_filter
from app.catalog.records import SegmentOfVideo
from app.clock import SystemClock
from app.model_api.client import WorkerClient
from app.model_api.secret import SECRET
from app.services.search.query import MomentQuery, SearchPage, SimilarSegmentQuery, TextQuery
from app.services.search.search import Search
from app.services.vectors.damage import Damage
from app.services.vectors.port import VectorPort
from app.services.vectors.replica import IndexReplica
from app.telemetry.metrics import Metrics
from tests.app.planted import plant
from tests.app.services.vectors.brute_force import BruteForceVectors
from tests.app.stack import Stack
from xclip.encoder import Encoder


class BusyCatalog(Catalog):
    """The catalog, in which something happens once: right after the call named, or before.

    Only `segments_by_rows` is a call that it happens before.
    """

    after: tuple[str, Callable[[], object]] | None = None

    def eligible_rows(
        self, collection: str, condition: Condition | None = None, *, last_row: int | None = None
    ) -> Any:
        found = super().eligible_rows(collection, condition, last_row=last_row)
        self._happen("eligible_rows")
        return found

    def segments_by_ids(self, collection: str, ids: Any) -> list[SegmentOfVideo]:
        found = super().segments_by_ids(collection, ids)
        self._happen("segments_by_ids")
        return found

    def segments_by_rows(self, rows: Any) -> list[SegmentOfVideo]:
        self._happen("segments_by_rows")
        return super().segments_by_rows(rows)

    def _happen(self, name: str) -> None:
        if self.after is not None and self.after[0] == name:
            event, self.after = self.after[1], None
            event()


@pytest.fixture
def catalog(stack: Stack) -> Iterator[BusyCatalog]:
    with BusyCatalog.open(stack.settings.catalog_url) as opened:
        yield opened


@pytest.fixture
def search(stack: Stack, catalog: BusyCatalog) -> Search:
    return searching(stack, catalog)


def searching(
    stack: Stack,
    catalog: BusyCatalog,
    recall_candidates: int = 200,
    vectors: VectorPort | None = None,
) -> Search:
    metrics = Metrics()
    return Search(
        catalog,
        vectors or IndexReplica(catalog, threads=1),
        WorkerClient("http://worker", secret=catalog.secret(SECRET), transport=stack.worker),
        SystemClock(),
        Damage(catalog, metrics.damaged_segments),
        metrics.search_seconds,
        recall_candidates=recall_candidates,
        decode_timeout_s=60,
    )


def rows(pages: list[SearchPage]) -> list[int]:
    return [moment.best.found.segment.row for page in pages for moment in page.moments]


@pytest.mark.parametrize("wanted", [{}, {"kept": True}], ids=str)
def test_pages_agree_although_a_video_comes_while_the_first_is_made(
    stack: Stack, encoder: Encoder, catalog: BusyCatalog, search: Search, wanted: dict[str, bool]
):
    """The newcomer is on every page or on none: joined pages are one answer, in one order."""
    rng = np.random.default_rng(1)
    first = plant(stack, encoder, rng, segments=5, metadata={"kept": True})
    metadata = {"kept": True}
    catalog.after = (
        "eligible_rows",
        lambda: plant(stack, encoder, rng, segments=5, metadata=metadata),
    )
    query = {"probe": TextQuery("red"), "top_k": 2, "condition": parse_filter(wanted)}
    pages = [search.find("default", MomentQuery(**query))]
    while cursor := pages[-1].next_cursor:
        pages.append(search.find("default", MomentQuery(**query, cursor=cursor)))
    found = rows(pages)
    own = {segment.row for segment in stack.catalog.list_segments("default", first.id)}
    everything = set(search_rows(search))
    assert len(everything) == 10
    assert len(found) == len(set(found))
    assert set(found) in (own, everything)


def search_rows(search: Search) -> list[int]:
    return rows([search.find("default", MomentQuery(TextQuery("red"), top_k=100))])


def test_a_segment_that_is_deleted_while_it_is_asked_with_is_not_found(
    stack: Stack, encoder: Encoder, catalog: BusyCatalog, search: Search
):
    """Its vector goes with it; that is no failure of the service."""
    video = plant(stack, encoder, np.random.default_rng(2))
    (segment, *_) = stack.catalog.list_segments("default", video.id)
    catalog.after = ("segments_by_ids", lambda: stack.catalog.delete_video("default", video.id))
    with pytest.raises(SegmentNotFound):
        search.find("default", MomentQuery(SimilarSegmentQuery(segment.id)))


@pytest.mark.parametrize("by_example", [False, True], ids=["words", "like"])
def test_what_is_deleted_between_the_stages_gives_its_place_to_the_next(
    stack: Stack, encoder: Encoder, catalog: BusyCatalog, by_example: bool
):
    """As many results as were asked for, and the same as if it had never been there."""
    rng = np.random.default_rng(3)
    videos = [plant(stack, encoder, rng, segments=5) for _ in range(4)]
    (example, *_) = stack.catalog.list_segments("default", videos[0].id)
    search = searching(stack, catalog, recall_candidates=5)
    query = MomentQuery(
        SimilarSegmentQuery(example.id) if by_example else TextQuery("red"), top_k=5
    )
    before = search.find("default", query)
    found = [moment.best.found.video.id for moment in before.moments]
    victim = next(video for video in found if video != videos[0].id)
    catalog.after = (
        "segments_by_rows",
        lambda: stack.catalog.delete_video("default", victim),
    )
    during, afterwards = search.find("default", query), search.find("default", query)
    assert len(rows([during])) == 5
    assert rows([during]) == rows([afterwards])


@pytest.mark.parametrize("by_example", [False, True], ids=["words", "like"])
def test_an_answer_by_codes_is_not_exact_and_says_what_they_recall(
    stack: Stack, encoder: Encoder, catalog: BusyCatalog, by_example: bool
):
    """Before the codes are there, and where everything was compared or scored, it is."""
    videos = [plant(stack, encoder, np.random.default_rng(4), segments=60) for _ in range(3)]
    (example, *_) = stack.catalog.list_segments("default", videos[0].id)
    probe = SimilarSegmentQuery(example.id) if by_example else TextQuery("red")
    with closing(IndexReplica(catalog, threads=1, exact_up_to=0)) as vectors:
        search = searching(stack, catalog, recall_candidates=5, vectors=vectors)
        before = search.find("default", MomentQuery(probe, top_k=5))
        assert (before.exact, before.recall.measured) == (by_example, None)
        collection, direction = catalog.get_collection("default"), np.ones(encoder.dim, np.float32)
        while vectors.recall(collection, direction, 5, None).measured is None:
            time.sleep(0.01)
        after = search.find("default", MomentQuery(probe, top_k=5))
        assert not after.exact
        assert after.recall.measured is not None
        assert len(rows([after])) == 5
        all_of_it = search.find("default", MomentQuery(probe, top_k=200))
        assert (all_of_it.exact, all_of_it.recall.measured) == (True, None)


@pytest.mark.parametrize("by_example", [False, True], ids=["words", "like"])
def test_any_implementation_of_the_vector_port_gives_the_same_pages(
    stack: Stack, encoder: Encoder, catalog: BusyCatalog, by_example: bool
):
    """Brute force over the catalog finds what FAISS finds, with a filter or without."""
    videos = [
        plant(stack, encoder, np.random.default_rng(seed), metadata={"even": seed % 2 == 0})
        for seed in range(4)
    ]
    (example, *_) = stack.catalog.list_segments("default", videos[0].id)
    probe = SimilarSegmentQuery(example.id) if by_example else TextQuery("red")
    for wanted in ({}, {"even": True}):
        query = MomentQuery(probe, top_k=7, condition=parse_filter(wanted))
        one, other = (
            searching(stack, catalog, recall_candidates=8, vectors=vectors).find("default", query)
            for vectors in (IndexReplica(catalog, threads=1), BruteForceVectors(catalog))
        )
        assert rows([one]) == rows([other]) != []
        assert (one.recall.total, one.exact) == (other.recall.total, other.exact)
