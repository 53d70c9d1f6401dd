"""Searches by example through every stage, against a plain sort: no model has a part in them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog import Catalog
from app.catalog.errors import InvalidCursor, SegmentNotFound
from app.catalog.filters import parse_filter
from app.catalog.records import NewSegment, Segment, SegmentOfVideo
from app.errors import CursorExpired, NotCalibrated
from app.model_api.client import WorkerClient
from app.services.search.cursors import LIFETIME_S
from app.services.search.query import MomentQuery, SearchPage, SimilarSegmentQuery
from app.services.search.search import Search
from app.services.vectors.damage import Damage
from app.services.vectors.replica import IndexReplica
from app.telemetry.metrics import Metrics
from index import TensorReference
from tests.app.catalog.samples import FACTS, HandClock, claim, new_video

# Inner products of these are exact in half precision, and many of them are equal.
DIRECTIONS = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.5] * 4, [0.5, 0.5, -0.5, -0.5]], np.float32)
directions = st.integers(0, len(DIRECTIONS) - 1)


@dataclass(frozen=True)
class Shelf:
    """A catalog with an empty collection, what searches it, and the time."""

    catalog: Catalog
    vectors: IndexReplica
    search: Search
    clock: HandClock

    def put(self, number: int, chosen: list[int], *, collection: str = "default") -> str:
        """A video of one window a second; its windows have these of the directions."""
        self.clock.advance(0.001)
        metadata = {"odd": number % 2 == 1}
        video, _, _ = self.catalog.add_video_with_job(collection, new_video(number, metadata))
        job, token = claim(self.catalog)
        self.catalog.complete_ingest(
            job.id,
            token,
            facts=FACTS,
            segments=[
                NewSegment(at, float(at), at + 1.0, TensorReference("t", at, 1, 0))
                for at in range(len(chosen))
            ],
            embeddings=DIRECTIONS[chosen],
            model="motion-tiny",
            fingerprint="f00d",
        )
        return video.id

    def segments(self) -> list[Segment]:
        """All segments of the collection, in order of rows."""
        videos = self.catalog.list_videos("default", limit=200).items
        found = [each for one in videos for each in self.catalog.list_segments("default", one.id)]
        return sorted(found, key=lambda segment: segment.row)

    def pages(self, query: MomentQuery) -> Iterator[SearchPage]:
        """Page after page, each asked for when the one before has been read."""
        while True:
            page = self.search.find("default", query)
            yield page
            if page.next_cursor is None:
                return
            query = replace(query, cursor=page.next_cursor)


def unreachable(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"the model was asked for {request.url.path}")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalog's file with an empty collection, to be copied: a migration takes a while."""
    path = tmp_path_factory.mktemp("shelf") / "template.sqlite"
    with Catalog.open(f"sqlite:///{path}") as catalog:
        catalog.create_collection("default", model="m", window_s=1, stride_s=1)
    return path


def open_shelf(stack: ExitStack, template: Path, folder: Path, recalled: int = 200) -> Shelf:
    shutil.copy(template, folder / "catalog.sqlite")
    clock = HandClock()
    catalog = stack.enter_context(Catalog.open(f"sqlite:///{folder}/catalog.sqlite", clock=clock))
    vectors = IndexReplica(catalog, threads=1)
    stack.callback(vectors.close)
    metrics = Metrics()
    search = Search(
        catalog,
        vectors,
        WorkerClient("http://worker", secret=b"", transport=httpx.MockTransport(unreachable)),
        clock,
        Damage(catalog, metrics.damaged_segments),
        metrics.search_seconds,
        recall_candidates=recalled,
        decode_timeout_s=1,
    )
    return Shelf(catalog, vectors, search, clock)


@pytest.fixture
def shelf(template: Path, tmp_path: Path) -> Iterator[Shelf]:
    with ExitStack() as stack:
        yield open_shelf(stack, template, tmp_path)


def rows(page: SearchPage) -> list[int]:
    return [moment.best.found.segment.row for moment in page.moments]


def like(segment: Segment, **choices: Any) -> MomentQuery:
    return MomentQuery(SimilarSegmentQuery(segment.id), **choices)


def sorted_by_hand(shelf: Shelf, example: Segment, odd: bool | None) -> list[SegmentOfVideo]:
    """Every other segment that the filter allows: by cosine, then by video, then by start."""
    others = [one.row for one in shelf.segments() if one.row != example.row]
    found = shelf.catalog.segments_by_rows(others)
    (direction,) = shelf.catalog.embeddings_by_rows([example.row])

    def key(one: SegmentOfVideo) -> tuple[float, str, float]:
        (vector,) = shelf.catalog.embeddings_by_rows([one.segment.row])
        return -float(vector @ direction), one.video.id, one.segment.start_s

    allowed = [one for one in found if odd in (None, one.video.metadata["odd"])]
    return sorted(allowed, key=key)


libraries = st.lists(st.lists(directions, min_size=1, max_size=4), min_size=1, max_size=4)


@settings(max_examples=8, deadline=None)
@given(
    library=libraries,
    odd=st.none() | st.booleans(),
    per_video=st.none() | st.integers(1, 3),
    top_k=st.integers(1, 4),
    data=st.data(),
)
def test_pages_are_slices_of_a_plain_sort(
    template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    library: list[list[int]],
    odd: bool | None,
    per_video: int | None,
    top_k: int,
    data: st.DataObject,
) -> None:
    """With ties, a filter and groups: joined pages hold each result once, in the one order."""
    with ExitStack() as stack:
        shelf = open_shelf(stack, template, tmp_path_factory.mktemp("pages"))
        for number, chosen in enumerate(library):
            shelf.put(number, chosen)
        example = data.draw(st.sampled_from(shelf.segments()))
        condition = None if odd is None else parse_filter({"odd": odd})
        query = like(example, top_k=top_k, condition=condition, max_per_video=per_video)
        found = list(shelf.pages(query))
        expected = sorted_by_hand(shelf, example, odd)
        entries: dict[object, list[int]] = {}
        for one in expected:
            entry = one.segment.row if per_video is None else one.video.id
            entries.setdefault(entry, []).append(one.segment.row)
        cut = [each[: per_video or 1] for each in entries.values()]
        pages = [cut[start : start + top_k] for start in range(0, len(cut), top_k)] or [[]]
        assert [rows(page) for page in found] == [
            [row for entry in page for row in entry] for page in pages
        ]
        assert {page.recall.eligible for page in found} == {len(expected)}
        assert all(page.exact and not page.abstained for page in found)


@settings(max_examples=6, deadline=None)
@given(library=libraries, top_k=st.integers(1, 3), data=st.data())
def test_deletions_between_pages_take_away_only_what_was_deleted(
    template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    library: list[list[int]],
    top_k: int,
    data: st.DataObject,
) -> None:
    """What is left is given once each, in order; what came since the first page is on none."""
    with ExitStack() as stack:
        shelf = open_shelf(stack, template, tmp_path_factory.mktemp("deletions"))
        videos = [shelf.put(number, chosen) for number, chosen in enumerate([[0, 2], *library])]
        example = shelf.segments()[0]
        before = [one.segment for one in sorted_by_hand(shelf, example, None)]
        given_rows: list[int] = []
        left = videos[1:]
        for number, page in enumerate(shelf.pages(like(example, top_k=top_k))):
            found = shelf.catalog.segments_by_rows(rows(page))
            assert len(found) == len(page.moments)
            given_rows += rows(page)
            if left and data.draw(st.booleans()):
                gone = data.draw(st.sampled_from(left))
                left.remove(gone)
                shelf.catalog.delete_video("default", gone)
            shelf.put(1000 + number, [0])
        assert given_rows == [segment.row for segment in before if segment.row in given_rows]
        kept = {segment.row for segment in before if segment.video_id in (videos[0], *left)}
        assert kept <= set(given_rows)


@pytest.mark.parametrize(("top_k", "pages"), [(3, [3, 1]), (4, [4]), (5, [4])])
def test_a_cursor_is_given_only_if_more_is_left(shelf: Shelf, top_k: int, pages: list[int]) -> None:
    """Of four results: a page of three has a next one, pages of four and five have none."""
    shelf.put(0, [0, 0, 1, 2, 3])
    found = list(shelf.pages(like(shelf.segments()[0], top_k=top_k)))
    assert [len(page.moments) for page in found] == pages


def test_a_segment_alone_has_nothing_like_it(shelf: Shelf) -> None:
    """It is no result of its own, and that is no abstention."""
    shelf.put(0, [1])
    (page,) = shelf.pages(like(shelf.segments()[0]))
    assert (page.moments, page.abstained, page.exact) == ([], False, True)
    assert (page.recall.total, page.recall.eligible) == (1, 0)


def test_a_full_recall_reaches_past_the_example(template: Path, tmp_path: Path) -> None:
    """With so many candidates as are asked for, the example costs none of them."""
    with ExitStack() as stack:
        shelf = open_shelf(stack, template, tmp_path, recalled=1)
        shelf.put(0, [0, 0, 0, 2])
        (first, *rest) = shelf.segments()
        page = shelf.search.find("default", like(first, top_k=3))
        assert rows(page) == [segment.row for segment in rest]


def test_a_cursor_lasts_to_the_second_it_says(shelf: Shelf) -> None:
    """At its last moment it is read; a second later the search has to begin again."""
    shelf.put(0, [0, 1, 2])
    query = like(shelf.segments()[0], top_k=1)
    first = shelf.search.find("default", query)
    began = shelf.clock.now().timestamp()
    shelf.clock.advance(math.floor(began) + LIFETIME_S - began)
    second = replace(query, cursor=first.next_cursor)
    assert len(shelf.search.find("default", second).moments) == 1
    shelf.clock.advance(1)
    with pytest.raises(CursorExpired):
        shelf.search.find("default", second)


@pytest.mark.parametrize(
    "change",
    [
        {"top_k": 2},
        {"merge": True},
        {"max_per_video": 1},
        {"condition": parse_filter({"odd": False})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_cursor_goes_with_the_whole_query(shelf: Shelf, change: dict[str, Any]) -> None:
    """Whatever changes which results there are, or their order or pages, makes it another's."""
    shelf.put(0, [0, 1, 2])
    query = like(shelf.segments()[0], top_k=1)
    cursor = shelf.search.find("default", query).next_cursor
    with pytest.raises(InvalidCursor, match="another query"):
        shelf.search.find("default", replace(query, cursor=cursor, **change))


def test_figures_that_change_the_ranking_end_its_cursors(shelf: Shelf) -> None:
    """Another calibration or another count of candidates; the old ones bring the cursor back."""
    shelf.put(0, [0, 1, 2])
    query = like(shelf.segments()[0], top_k=1)
    following = replace(query, cursor=shelf.search.find("default", query).next_cursor)
    for change, back in (
        (lambda: shelf.catalog.set_calibration("default", "new"), None),
        (lambda: shelf.catalog.set_recall_candidates("default", 7), None),
    ):
        change()
        with pytest.raises(CursorExpired):
            shelf.search.find("default", following)
        shelf.catalog.set_calibration("default", back)
        shelf.catalog.set_recall_candidates("default", back)
        assert len(shelf.search.find("default", following).moments) == 1


def test_a_segment_of_another_collection_is_not_found(shelf: Shelf) -> None:
    """Also while the collection itself is empty."""
    shelf.catalog.create_collection("other", model="m", window_s=1, stride_s=1)
    shelf.put(0, [0])
    (example,) = shelf.segments()
    with pytest.raises(SegmentNotFound):
        shelf.search.find("other", like(example))


def test_cosines_are_no_confidence(shelf: Shelf) -> None:
    """A bound on confidence is refused even if it is 0, unless there is nothing to bound."""
    shelf.put(0, [0])
    assert not shelf.search.find("default", like(shelf.segments()[0], min_confidence=0.0)).moments
    shelf.put(1, [0])
    with pytest.raises(NotCalibrated):
        shelf.search.find("default", like(shelf.segments()[0], min_confidence=0.0))
