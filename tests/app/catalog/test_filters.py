"""Filters: which segments a mapping of metadata keys to values allows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog import Catalog
from app.catalog.errors import InvalidFilter
from app.catalog.records import Filter, Metadata, Scalar
from app.catalog.terms import MAX_TERM_CHARS, metadata_terms
from tests.app.catalog.samples import HandClock, ingest, rows_of

# Some equal, most not; odd ones, so that quoting and typing matter.
SCALARS: list[Scalar] = [
    *(None, True, False, 0, 1, 1.0, -1, 0.5, 2**70, float(2**70), "", "1", "true", "null", "é"),
    *("a'b", 'a"b', "a.b", "%", "a\\b", "\x00", "\ud800", "A", "a", "x" * 300, "x" * 300 + "y"),
]
KEYS = ["k", "a.b", 'a"b', "é", "", "$", "x[0]", "\x00", "VIDEO_ID", "k" * 400]
LIBRARY: list[Metadata] = [
    {},
    *({"k": scalar} for scalar in SCALARS),
    *({key: 1, "é": place} for place, key in enumerate(KEYS)),
    {"k": [1], "$": {"k": 1}},
    {"k": ["a", None]},
]
keys, scalars = st.sampled_from(KEYS), st.sampled_from(SCALARS)
filters = st.dictionaries(keys, scalars | st.lists(scalars, max_size=3), max_size=2)


def equal(left: Scalar, right: Scalar) -> bool:
    """JSON equality: numbers by value, everything else by type and value."""
    number = (int, float)
    if isinstance(left, number) and isinstance(right, number):
        return isinstance(left, bool) == isinstance(right, bool) and left == right
    return type(left) is type(right) and left == right


def fits(wanted: Filter, metadata: Metadata) -> bool:
    """What a filter means, in Python."""

    def one(key: str, values: object) -> bool:
        if key not in metadata or isinstance(metadata[key], list | dict):
            return False
        alternatives = values if isinstance(values, list) else [values]
        return any(equal(metadata[key], value) for value in alternatives)  # type: ignore[arg-type]

    return all(one(key, values) for key, values in wanted.items())


def test_allows_what_the_metadata_says(tmp_path: Path) -> None:
    """Any filter allows the rows whose metadata fits it in Python."""
    with Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}", clock=HandClock()) as catalog:
        catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
        row_of = {}
        for place, metadata in enumerate(LIBRARY):
            video = ingest(catalog, place, count=1, metadata=metadata)
            assert metadata == video.metadata
            row_of[place] = rows_of(catalog, video)[0]

        @given(wanted=filters)
        @settings(max_examples=200, deadline=None)
        def agrees(wanted: Filter) -> None:
            allowed = catalog.eligible_rows("default", wanted)
            fitting = [row_of[place] for place, each in enumerate(LIBRARY) if fits(wanted, each)]
            assert (allowed is None) == (wanted == {})
            assert allowed is None or fitting == allowed.tolist()

        agrees()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"day": 1}, [0, 1]),
        ({"day": True}, [2]),
        ({"day": "1"}, [3]),
        ({"day": [True, "1"]}, [2, 3]),
        ({"day": None}, [4]),
        ({"day": 1, "place": "x"}, [1]),
        ({"place": ["x", "y"]}, [1, 2]),
        ({"day": []}, []),
        ({"tags": "a"}, []),
    ],
)
def test_types_are_strict_and_keys_all_hold(
    catalog: Catalog, wanted: Filter, found: list[int]
) -> None:
    """`1` is `1.0`, not `true` or `"1"`; null is a value; lists in metadata do not match."""
    library: list[Metadata] = [
        {"day": 1},
        {"day": 1.0, "place": "x"},
        {"day": True, "place": "y", "tags": ["a"]},
        {"day": "1"},
        {"day": None},
        {},
    ]
    videos = [ingest(catalog, place, metadata=each) for place, each in enumerate(library)]
    rows = [rows_of(catalog, video) for video in videos]
    allowed = catalog.eligible_rows("default", wanted)
    assert allowed is not None
    assert [row for place in found for row in rows[place]] == allowed.tolist()


def test_videos_can_be_named(catalog: Catalog) -> None:
    """`video_id` is built in, combines with metadata, and stays within the collection."""
    catalog.create_collection("other", model="m", window_s=5, stride_s=2.5)
    first, second = ingest(catalog, 1, metadata={"day": 1}), ingest(catalog, 2)
    third = ingest(catalog, 3, collection="other")
    for wanted, videos in (
        ({"video_id": first.id}, [first]),
        ({"video_id": [second.id, first.id, "vid_é", 7, None]}, [first, second]),
        ({"video_id": [second.id, first.id], "day": 1}, [first]),
        ({"video_id": third.id}, []),
    ):
        allowed = catalog.eligible_rows("default", wanted)  # type: ignore[arg-type]
        assert allowed is not None
        assert [row for video in videos for row in rows_of(catalog, video)] == allowed.tolist()


def test_no_filter_allows_everything(catalog: Catalog) -> None:
    """Nothing asked is None, so that the index need not look at rows one by one."""
    ingest(catalog, 1)
    assert catalog.eligible_rows("default", None) is None
    assert catalog.eligible_rows("default", {}) is None


@pytest.mark.parametrize(
    "wanted",
    [
        ["day"],
        "day",
        {1: "day"},
        {"day": {"gt": 1}},
        {"day": [[1]]},
        {"day": float("nan")},
        {"day": [1.0, float("inf")]},
        {"day": list(range(1001))},
        {"day": b"1"},
        {"day": 10**5000},
    ],
)
def test_other_filters_are_refused(catalog: Catalog, wanted: Filter) -> None:
    """What is no mapping of keys to scalars or lists of scalars is an error, not empty."""
    with pytest.raises(InvalidFilter):
        catalog.eligible_rows("default", wanted)


def test_terms_stay_short() -> None:
    """However long a value is, its term fits every database's index, and stays its own."""
    terms = metadata_terms({"a": "x" * 10_000, "b": "x" * 10_000 + "y", "c" * 9000: 1})
    assert all(
        len(key) < MAX_TERM_CHARS and len(term) < MAX_TERM_CHARS for key, term in terms.items()
    )
    assert len(set(terms.values())) == 3
