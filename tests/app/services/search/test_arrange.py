"""Arranging: what a bound on confidence leaves, and what moments are made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.catalog import Catalog
from app.errors import NotCalibrated
from app.services.search.moments import single
from app.services.search.query import Moment, MomentQuery, RankedSegment, TextQuery
from app.services.search.rerank import Ranking
from app.services.search.search import Search
from tests.app.services.search.test_by_example import open_shelf
from tests.app.services.search.test_moments import ranked

KIND = "xclip_logit"


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    folder: Path = tmp_path_factory.mktemp("arrange")
    template = folder / "template.sqlite"
    Catalog.open(f"sqlite:///{template}").close()
    with ExitStack() as stack:
        yield open_shelf(stack, template, folder).search


def sure(row: int, confidence: float | None, score: float = 0.0) -> RankedSegment:
    """A window of 4 s that begins at second `row`."""
    return replace(ranked("v", row, row, row + 4, score), confidence=confidence)


def arrange(search: Search, ranking: Ranking, **choices: Any) -> tuple[list[list[Moment]], bool]:
    return search._arrange(MomentQuery(TextQuery("red"), **choices), ranking)


def calibrated(segments: list[RankedSegment], chains: list[Moment] | None = None) -> Ranking:
    count = len(segments) + len(chains or [])
    return Ranking(KIND, segments, chains or [], count, confidence_kind="calibrated")


@pytest.mark.parametrize(
    ("least", "left", "abstained"),
    [
        (None, [0, 1, 2, 3], False),
        (0.0, [0, 1, 2, 3], False),
        (0.25, [0, 1], False),
        (0.5, [0, 1], False),
        (0.5000001, [0], False),
        (0.75, [0], False),
        (0.7500001, [], True),
    ],
)
def test_a_bound_keeps_what_reaches_it(
    search: Search, least: float | None, left: list[int], abstained: bool
) -> None:
    """What lies exactly on it is kept, and what has no confidence of its own has none: 0."""
    scored = [sure(0, 0.75), sure(1, 0.5), sure(2, 0.0), sure(3, None)]
    for ranking in (calibrated(scored), calibrated([], single(scored))):
        entries, found = arrange(search, ranking, min_confidence=least)
        assert [entry[0].best.found.segment.row for entry in entries] == left
        assert found == abstained


@pytest.mark.parametrize("least", [None, 0.0, 1.0])
def test_where_nothing_was_found_nothing_is_withheld(search: Search, least: float | None) -> None:
    """To abstain is to have had results; a model without calibration is no matter here."""
    assert arrange(search, Ranking(KIND), min_confidence=least) == ([], False)
    assert arrange(search, calibrated([]), min_confidence=least) == ([], False)


@pytest.mark.parametrize("least", [0.0, 0.5])
def test_a_bound_needs_a_known_confidence(search: Search, least: float) -> None:
    """Without one every result would be withheld, as if the model had been unsure."""
    unknown = Ranking(KIND, [sure(0, None)], scored=1)
    with pytest.raises(NotCalibrated):
        arrange(search, unknown, min_confidence=least)
    assert len(arrange(search, unknown)[0]) == 1


def test_bounds_of_a_moment_come_from_all_windows(search: Search) -> None:
    """Windows that are too unsure to be shown still tell where the event begins and ends."""
    shows = {3, 4, 5, 6}
    scored = [sure(at, 0.9 if at == 3 else 0.1, 10.0 if at in shows else 0.0) for at in range(12)]
    scored.sort(key=lambda one: -one.score)
    ((moment,),) = arrange(search, calibrated(scored), merge=True, min_confidence=0.5)[0]
    assert (moment.best.found.segment.row, len(moment.segments)) == (3, 1)
    assert (moment.start, moment.end) == (4, 7)  # below the mean of peak and lowest before 4
    ((alone,),) = arrange(search, calibrated([scored[0]]), merge=True)[0]
    assert (alone.start, alone.end) == (3, 7)


def test_groups_hold_moments_that_the_bound_has_left(search: Search) -> None:
    """The bound comes first: a group is not made smaller by what it would not have shown."""
    scored = [sure(0, 0.1), sure(10, 0.9), sure(20, 0.2), sure(30, 0.8), sure(40, 0.7)]
    (group,), _ = arrange(search, calibrated(scored), max_per_video=2, min_confidence=0.5)
    assert [moment.best.found.segment.row for moment in group] == [10, 30]
