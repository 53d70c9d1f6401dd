"""Which rows a filter allows, against what it means in plain Python."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, delete, update

from app.catalog import Catalog
from app.catalog.filters import EVERYTHING, parse_filter
from app.catalog.records import Filter, Json, Metadata, Scalar, Video
from app.catalog.sql import tables
from tests.app.catalog.samples import (
    FACTS,
    HandClock,
    claim,
    embeddings,
    ingest,
    new_segments,
    new_video,
    rows_of,
)

ORDERS = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}

# Some equal, most not; odd ones, so that quoting, typing and rounding matter.
SCALARS: list[Scalar] = [
    *(None, True, False, 0, 1, 1.0, -1, 0.5, -0.0, 5e-324, -1e308, 10**400, -(10**400)),
    *(2**53, 2**53 + 1, float(2**53), -(2**53) - 1, 2**63 - 1, 2**70, float(2**70)),
    *("", "1", "true", "null", "é", "a'b", 'a"b', "%", "a\\b", "\x00", "a\x00", "\ud800", "A", "a"),
    *("B", "\uffff", "\U00010000", "x" * 300, "x" * 300 + "y", "x" * 299 + "y"),
]
KEYS = ["k", "a.b", 'a"b', "é", "", "$", "\x00", "k" * 201, "duration", "and", "in", "metadata.k"]
TIMES = ["2026-05-04T03:02:01.987654Z", "2026-05-04T05:02:02.987654+02:00", "2026-05-04T03:02:02Z"]

scalars = st.sampled_from(SCALARS) | st.integers() | st.floats(allow_nan=False).filter(
    lambda number: abs(number) < float("inf")
) | st.text(max_size=3)  # fmt: skip
metadatas = st.dictionaries(
    st.sampled_from(KEYS),
    scalars | st.lists(scalars | st.just([1]) | st.just({"a": 1}), max_size=3) | st.just({"a": 1}),
    max_size=4,
)


def conditions_on(names: st.SearchStrategy[str], values: st.SearchStrategy[Any]) -> Any:
    """Filters of one field, in all three ways to write what it must be."""
    ordered = values.filter(lambda value: value is not None and not isinstance(value, bool))
    operators = st.fixed_dictionaries(
        {},
        optional={
            "eq": values,
            "ne": values,
            "in": st.lists(values, max_size=3),
            **dict.fromkeys(ORDERS, ordered),
            "exists": st.booleans(),
        },
    ).filter(bool)
    return st.dictionaries(names, values | st.lists(values, max_size=3) | operators, max_size=1)


seconds = st.sampled_from([0, 2.5, 5, 7.5, 10, 12.5, 13]) | st.floats(-1, 30)
leaves = st.one_of(
    conditions_on(st.sampled_from([f"metadata.{key}" for key in KEYS]), scalars),
    conditions_on(st.sampled_from(["k", "a.b", "é", "", "\x00"]), scalars),
    conditions_on(st.sampled_from(["duration", "start", "end"]), seconds),
    conditions_on(st.just("created"), st.sampled_from(TIMES)),
    conditions_on(st.just("video_id"), st.sampled_from(["", "vid_", "vid_é", "vid_\0", "vie"])),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda each: {"not": each}, inner),
        st.builds(lambda each: {"and": each}, st.lists(inner, max_size=3)),
        st.builds(lambda each: {"or": each}, st.lists(inner, max_size=3)),
        st.builds(lambda left, right: {**left, **right}, inner, inner),
    ),
    max_leaves=6,
)


@dataclass(frozen=True)
class Subject:
    """A segment, as far as a filter sees it."""

    row: int
    metadata: Metadata
    builtin: Mapping[str, Any]

    def fits(self, wanted: Any) -> bool:
        """What a filter means, in Python."""
        return all(self._entry(key, value) for key, value in wanted.items())

    def _entry(self, key: str, value: Any) -> bool:
        if key == "and":
            return all(map(self.fits, value))
        if key == "or":
            return any(map(self.fits, value))
        if key == "not":
            return not self.fits(value)
        if isinstance(value, dict):
            return all(self._holds(key, name, operand) for name, operand in value.items())
        return self._holds(key, "in" if isinstance(value, list) else "eq", value)

    def _holds(self, field: str, name: str, operand: Any) -> bool:
        if name == "ne":
            return not self._holds(field, "eq", operand)
        if name == "exists":
            return operand == bool(self._values(field) is not None)
        found = self._values(field) or []
        if field == "created":
            times = operand if isinstance(operand, list) else [operand]
            operands = [datetime.fromisoformat(time) for time in times]
        else:
            operands = operand if isinstance(operand, list) else [operand]
        if name in ("eq", "in"):
            return any(equal(value, each) for value in found for each in operands)
        return any(in_order(ORDERS[name], value, operands[0]) for value in found)

    def _values(self, field: str) -> list[Any] | None:
        if field in self.builtin:
            return [self.builtin[field]]
        key = field.removeprefix("metadata.")
        if key not in self.metadata:
            return None
        value = self.metadata[key]
        return value if isinstance(value, list) else [value]


def kind(value: object) -> type:
    """Numbers are of one type, whole or not; everything else is of its own."""
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def equal(left: object, right: object) -> bool:
    return kind(left) is kind(right) and left == right


def in_order(order: Any, left: object, right: object) -> bool:
    return kind(left) is kind(right) and kind(left) in (float, str, datetime) and order(left, right)


def add(catalog: Catalog, content: object, duration_s: float, metadata: Metadata) -> Video:
    """A ready video of two segments."""
    video, _, _ = catalog.add_video_with_job("default", new_video(content, metadata))
    job, token = claim(catalog)
    catalog.complete_ingest(
        job.id,
        token,
        facts=replace(FACTS, duration_s=duration_s),
        segments=new_segments(2),
        embeddings=embeddings(2),
        model="motion-tiny",
        fingerprint="f00d",
    )
    return catalog.get_video("default", video.id)


def subjects(catalog: Catalog) -> Iterator[Subject]:
    """All segments of the default collection, by row."""
    for video in reversed(catalog.list_videos("default").items):
        for segment in catalog.list_segments("default", video.id):
            builtin = {
                "video_id": video.id,
                "duration": video.duration_s,
                "created": video.created_at,
                "start": segment.start_s,
                "end": segment.end_s,
            }
            yield Subject(segment.row, video.metadata, builtin)


def found(catalog: Catalog, wanted: Filter) -> list[int]:
    """The rows a filter allows, whether or not it restricts."""
    rows = catalog.eligible_rows("default", parse_filter(wanted), last_row=2**62)
    assert rows is not None
    assert rows.dtype == "int64"
    return rows.tolist()


def test_allows_what_it_means(catalog: Catalog, clock: HandClock) -> None:
    """Any filter over any library allows the segments that fit in Python; `not` allows the rest."""
    catalog.create_collection("other", model="m", window_s=5, stride_s=2.5)
    videos = []
    for number in range(4):
        videos.append(add(catalog, number, 5 * number, {}))
        ingest(catalog, number, collection="other", metadata={"k": 1})
        clock.advance(1)

    @given(library=st.lists(metadatas, min_size=4, max_size=4), asked=st.lists(filters, max_size=8))
    @settings(
        max_examples=50,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],  # a busy machine draws slowly
    )
    def agrees(library: list[Metadata], asked: list[Filter]) -> None:
        for video, metadata in zip(videos, library, strict=True):
            catalog.update_video_metadata("default", video.id, metadata)
        segments = list(subjects(catalog))
        assert len(segments) == 8
        for wanted in asked:
            fitting = [segment.row for segment in segments if segment.fits(wanted)]
            assert fitting == found(catalog, wanted)
            others = [segment.row for segment in segments if segment.row not in fitting]
            assert others == found(catalog, {"not": wanted})

    agrees()


DAYS: list[Metadata] = [
    {"day": 1},
    {"day": 1.0, "place": "x"},
    {"day": True, "place": "y", "tags": ["a", "b", 7]},
    {"day": "1", "tags": []},
    {"day": None, "tags": "b"},
    {"tags": {"a": 1}},
]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ({"day": 1}, [0, 1]),
        ({"day": True}, [2]),
        ({"day": "1"}, [3]),
        ({"day": [True, "1"]}, [2, 3]),
        ({"day": None}, [4]),
        ({"day": 1, "place": "x"}, [1]),
        ({"day": []}, []),
        ({"day": {"ne": 1}}, [2, 3, 4, 5]),
        ({"day": {"gte": 0}}, [0, 1]),
        ({"day": {"gte": ""}}, [3]),
        ({"day": {"exists": True}}, [0, 1, 2, 3, 4]),
        ({"day": {"exists": True, "ne": 1}}, [2, 3, 4]),
        ({"tags": "b"}, [2, 4]),
        ({"tags": {"gt": 6, "lt": "b"}}, [2]),
        ({"tags": {"ne": "b"}}, [0, 1, 3, 5]),
        ({"tags": {"exists": False}}, [0, 1]),
        ({"not": {"day": 1, "place": "x"}}, [0, 2, 3, 4, 5]),
        ({"or": [{"place": "x"}, {"tags": {"exists": True}, "day": True}]}, [1, 2]),
        ({"or": []}, []),
        ({"and": []}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_metadata_is_compared_as_json(catalog: Catalog, wanted: Filter, places: list[int]) -> None:
    """Types differ, lists match by any element, what is missing matches `ne` alone."""
    rows = [rows_of(catalog, ingest(catalog, place, metadata=each)) for place, each in
            enumerate(DAYS)]  # fmt: skip
    assert [row for place in places for row in rows[place]] == found(catalog, wanted)


def test_long_strings_are_compared_to_their_end(catalog: Catalog) -> None:
    """A difference in the last of many thousand characters counts, for equality and for order."""
    long = "é" * 12_000
    one, other = (
        rows_of(catalog, ingest(catalog, end, metadata={"k": long + end, long + end: 1}))
        for end in "ab"
    )
    assert one == found(catalog, {"k": long + "a"}) == found(catalog, {"k": {"lt": long + "b"}})
    assert other == found(catalog, {"k": {"gt": long + "a"}}) == found(catalog, {long + "b": 1})
    assert one + other == found(catalog, {"k": {"gt": long, "lte": long + "b"}})


def test_large_integers_are_ordered_exactly(catalog: Catalog) -> None:
    """Where doubles leave out integers, neighbours still differ, in equality and in order."""
    first = 2**60
    rows = [rows_of(catalog, ingest(catalog, n, metadata={"id": first + n})) for n in range(3)]
    assert rows[1] == found(catalog, {"id": first + 1})
    assert rows[1] == found(catalog, {"id": {"gt": first, "lt": first + 2}})
    assert rows[0] == found(catalog, {"id": {"lte": float(first)}})


@pytest.mark.parametrize(
    ("wanted", "starts"),
    [
        ({"start": {"gte": 5}}, [5.0, 7.5]),
        ({"end": {"lt": 10}}, [0.0, 2.5]),
        ({"start": [0, 7.5], "end": {"gt": 5}}, [7.5]),
        ({"not": {"start": 2.5}, "day": 1}, [0.0, 5.0, 7.5]),
        ({"or": [{"start": 0}, {"metadata.start": 9, "end": 10}]}, [0.0, 5.0]),
    ],
)
def test_segments_are_chosen_by_their_times(
    catalog: Catalog, wanted: Filter, starts: list[float]
) -> None:
    """`start` and `end` are the segment's own, also beside what is asked of its video."""
    video = ingest(catalog, 1, count=4, metadata={"day": 1, "start": 9})
    by_row = {each.row: each.start_s for each in catalog.list_segments("default", video.id)}
    assert starts == [by_row[row] for row in found(catalog, wanted)]


def test_videos_can_be_named(catalog: Catalog) -> None:
    """`video_id` is built in, combines with metadata, and stays within the collection."""
    catalog.create_collection("other", model="m", window_s=5, stride_s=2.5)
    first, second = ingest(catalog, 1, metadata={"day": 1}), ingest(catalog, 2)
    third = ingest(catalog, 3, collection="other")
    for wanted, videos in (
        ({"video_id": first.id}, [first]),
        ({"video_id": [second.id, first.id, "vid_é", "\0", "\ud800"]}, [first, second]),
        ({"video_id": [second.id, first.id], "day": 1}, [first]),
        ({"video_id": {"ne": first.id}}, [second]),
        ({"video_id": third.id}, []),
    ):
        rows = [row for video in videos for row in rows_of(catalog, video)]
        assert rows == found(catalog, wanted)  # type: ignore[arg-type]


def test_times_of_upload_are_instants(catalog: Catalog, clock: HandClock) -> None:
    """The same instant at another offset is the same, to the microsecond."""
    first = rows_of(catalog, ingest(catalog, 1))
    clock.advance(3600)
    second = rows_of(catalog, ingest(catalog, 2))
    assert first == found(catalog, {"created": "2026-05-04T05:02:01.987654+02:00"})
    assert first + second == found(catalog, {"created": {"gte": "2026-05-04T03:02:01.987654Z"}})
    assert second == found(catalog, {"created": {"gt": "2026-05-04t03:02:01.987654z"}})
    assert found(catalog, {"created": {"gt": "2026-05-04T05:02:01.987654+01:00"}}) == []


def test_rows_up_to_a_row(catalog: Catalog) -> None:
    """`last_row` cuts what the filter allows, and restricts by itself."""
    rows = rows_of(catalog, ingest(catalog, 1, count=3, metadata={"day": 1}))
    for condition in (None, EVERYTHING, parse_filter({"day": 1})):
        cut = catalog.eligible_rows("default", condition, last_row=rows[1])
        assert cut is not None
        assert rows[:2] == cut.tolist()


def test_rows_of_videos_may_lie_between_each_other(catalog: Catalog, url: str) -> None:
    """Where two were ingested at once, each filter finds its own rows, up to any of them."""
    left, right, whole = (
        ingest(catalog, number, count=4, metadata={"n": number}) for number in range(3)
    )
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(delete(tables.embeddings))
        for offset, video in enumerate((left, right)):
            of_video = tables.segments.c.video_id == video.id
            moved = {"row": 100 + offset + 2 * tables.segments.c.position}
            connection.execute(update(tables.segments).where(of_video).values(moved))
    engine.dispose()
    assert found(catalog, {"n": 0}) == [100, 102, 104, 106] == rows_of(catalog, left)
    assert found(catalog, {"n": 1}) == [101, 103, 105, 107]
    assert found(catalog, {"n": {"gte": 1}}) == [*rows_of(catalog, whole), 101, 103, 105, 107]
    cut = catalog.eligible_rows("default", parse_filter({"n": {"lt": 2}}), last_row=103)
    assert cut is not None
    assert cut.tolist() == [100, 101, 102, 103]


def test_no_filter_allows_everything(catalog: Catalog) -> None:
    """Nothing asked is None, so that the index need not look at rows one by one."""
    ingest(catalog, 1)
    assert parse_filter(None) == parse_filter({}) == parse_filter({"and": [{}]}) == EVERYTHING
    assert catalog.eligible_rows("default", None) is None
    assert catalog.eligible_rows("default", EVERYTHING) is None


def test_the_largest_filter_is_answered(catalog: Catalog) -> None:
    """What the bounds allow, the database takes."""
    rows = rows_of(catalog, ingest(catalog, 1, metadata={"n": 1}))
    lists: Filter = {"or": [{f"k{number}": list(range(1000))} for number in range(9)]}
    many: list[Json] = [{"n": {"ne": number}} for number in range(2, 192)]
    assert rows == found(catalog, {"and": [{"not": lists}, *many]})
    deep: Filter = {"n": 2}
    for _ in range(5):
        deep = {"not": {"or": [{"and": [deep]}]}}
    assert rows == found(catalog, deep)
