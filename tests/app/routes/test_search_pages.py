"""Pages of a search: joined they are one answer, whatever happens between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.services.search.cursors import LIFETIME_S
from tests.app.catalog.samples import HandClock
from tests.app.planted import ask, create, plant, read_pages, url
from tests.app.stack import Stack, assert_problem, open_stack
from xclip.encoder import Encoder

TEXT = "a red square moves left"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Stack]:
    """Twelve videos of 1 to 6 segments; not to be changed."""
    rng = np.random.default_rng(11)
    with open_stack(tmp_path_factory.mktemp("crowd"), encoder) as stack:
        for number in range(12):
            plant(stack, encoder, rng, segments=1 + number % 6, metadata={"odd": number % 2 == 1})
        yield stack


def results(pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [result for page in pages for result in page["results"]]


def names(pages: list[dict[str, Any]]) -> list[str]:
    return [result["segment_id"] for result in results(pages)]


def first_segment(stack: Stack) -> str:
    video = stack.catalog.list_videos("default").items[0]
    return stack.catalog.list_segments("default", video.id)[0].id


@pytest.mark.parametrize("size", [1, 4, 7, 42])
@pytest.mark.parametrize(
    "question",
    [
        {"text": TEXT},
        {"text": TEXT, "negative_text": "blue circle", "filter": {"odd": True}},
        {"text": TEXT, "group_by": "video", "max_per_video": 2},
        {"text": TEXT, "merge": True},
        {"text": TEXT, "merge": True, "group_by": "video", "max_per_video": 3},
        {"then": [TEXT, "blue circle"], "within_s": 1},
        {"segment_id": None},
        {"segment_id": None, "merge": True},
        {"segment_id": None, "group_by": "video"},
    ],
    ids=str,
)
def test_joined_pages_are_the_whole_answer(crowd: Stack, question: dict[str, Any], size: int):
    """Nothing twice, nothing missing, the order of the whole, and the last page says so."""
    if "segment_id" in question:
        question = {**question, "segment_id": first_segment(crowd)}
    whole = ask(crowd, **question, top_k=200)
    pages = read_pages(crowd, **question, top_k=size)
    assert whole["next_cursor"] is None
    assert names(pages) == [result["segment_id"] for result in whole["results"]]
    for one, other in zip(results(pages), whole["results"], strict=True):
        assert one.pop("score") == pytest.approx(other["score"], abs=1e-4)
        assert one == {key: value for key, value in other.items() if key != "score"}
    entries = "video_id" if "group_by" in question else "segment_id"
    for page in pages[:-1]:
        assert len({result[entries] for result in page["results"]}) == size
    assert {page["index"]["snapshot"] for page in pages} == {whole["index"]["snapshot"]}


def test_equal_scores_are_paged_once_each(stack: Stack, encoder: Encoder):
    """Twins score the same to the last bit; the cursor still tells them apart."""
    for _ in range(9):
        plant(stack, encoder, np.random.default_rng(1), segments=1)
    found = names(read_pages(stack, text=TEXT, top_k=2))
    assert len(found) == len(set(found)) == 9


def test_what_is_added_between_pages_is_not_seen(stack: Stack, encoder: Encoder):
    """A cursor's pages are of the moment of the first; a new search sees all."""
    rng = np.random.default_rng(2)
    for _ in range(4):
        plant(stack, encoder, rng)
    first = ask(stack, text=TEXT, top_k=5)
    late = plant(stack, encoder, rng, segments=6)
    second = ask(stack, text=TEXT, top_k=5, cursor=first["next_cursor"])
    later = plant(stack, encoder, rng, segments=6)
    third = ask(stack, text=TEXT, top_k=5, cursor=second["next_cursor"])
    pages = [first, second, third]
    assert third["next_cursor"] is None
    assert len(set(names(pages))) == 12
    assert not {late.id, later.id} & {result["video_id"] for result in results(pages)}
    assert {page["index"]["snapshot"] for page in pages} == {first["index"]["snapshot"]}
    fresh = ask(stack, text=TEXT, top_k=100)
    assert {late.id, later.id} < {result["video_id"] for result in fresh["results"]}
    assert fresh["index"]["snapshot"] > first["index"]["snapshot"]


def test_what_is_deleted_between_pages_is_gone(stack: Stack, encoder: Encoder):
    """At once; everything else still comes once."""
    rng = np.random.default_rng(3)
    for _ in range(6):
        plant(stack, encoder, rng, segments=2)
    whole = [result["segment_id"] for result in ask(stack, text=TEXT, top_k=100)["results"]]
    first = ask(stack, text=TEXT, top_k=3)
    shown = {result["video_id"] for result in first["results"]}
    gone = next(v for v in stack.catalog.list_videos("default").items if v.id not in shown)
    lost = {segment.id for segment in stack.catalog.list_segments("default", gone.id)}
    assert stack.api.delete(url("default", f"videos/{gone.id}")).status_code == 204
    second = ask(stack, text=TEXT, top_k=3, cursor=first["next_cursor"])
    pages = [first, second]
    while pages[-1]["next_cursor"]:
        pages.append(ask(stack, text=TEXT, top_k=3, cursor=pages[-1]["next_cursor"]))
    assert names(pages) == [name for name in whole if name not in lost]


@pytest.mark.parametrize(
    "change",
    [
        {"text": "blue circle"},
        {"top_k": 4},
        {"filter": {"odd": True}},
        {"merge": True},
        {"group_by": "video"},
        {"negative_text": "blue"},
    ],
    ids=str,
)
def test_a_cursor_of_another_question_is_refused(crowd: Stack, change: dict[str, Any]):
    """It names a place in one ranking."""
    question = {"text": TEXT, "top_k": 3}
    cursor = ask(crowd, **question)["next_cursor"]
    answer = crowd.api.post(url("default"), json={**question, **change, "cursor": cursor})
    body = assert_problem(answer, 422, "invalid_cursor")
    assert "another query" in body["detail"]


def test_a_tampered_cursor_is_refused(crowd: Stack):
    """Every character counts, and a text that never was a cursor is no different."""
    question = {"text": TEXT, "top_k": 3}
    cursor = ask(crowd, **question)["next_cursor"]
    for place in range(0, len(cursor) - 1, 37):
        other = "A" if cursor[place] != "A" else "B"
        changed = cursor[:place] + other + cursor[place + 1 :]
        answer = crowd.api.post(url("default"), json={**question, "cursor": changed})
        assert_problem(answer, 422, "invalid_cursor")
    for nonsense in ("", "x", "!!!", cursor[:-20], cursor + "AAAA"):
        answer = crowd.api.post(url("default"), json={**question, "cursor": nonsense})
        assert_problem(answer, 422, "invalid_cursor")


def test_a_cursor_expires(tmp_path: Path, encoder: Encoder):
    """410 once its time is over; each page gives a fresh one."""
    clock = HandClock()
    with open_stack(tmp_path, encoder, clock=clock) as stack:
        for seed in range(3):
            plant(stack, encoder, np.random.default_rng(seed))
        first = ask(stack, text=TEXT, top_k=3)
        clock.advance(LIFETIME_S - 1)
        second = ask(stack, text=TEXT, top_k=3, cursor=first["next_cursor"])
        clock.advance(2)
        body = {"text": TEXT, "top_k": 3, "cursor": first["next_cursor"]}
        assert_problem(stack.api.post(url("default"), json=body), 410, "cursor_expired")
        assert len(ask(stack, **{**body, "cursor": second["next_cursor"]})["results"]) == 3


def test_a_cursor_ends_with_its_collection(stack: Stack, encoder: Encoder):
    """Deleted and made again under the same name, it is another collection: 410."""
    rng = np.random.default_rng(4)
    create(stack, "again")
    plant(stack, encoder, rng, collection="again", segments=5)
    body = {"text": TEXT, "top_k": 2}
    cursor = ask(stack, "again", **body)["next_cursor"]
    assert stack.api.delete("/v1/collections/again").status_code == 204
    answer = stack.api.post(url("again"), json={**body, "cursor": cursor})
    assert_problem(answer, 404, "collection_not_found")
    create(stack, "again")
    plant(stack, encoder, rng, collection="again", segments=5)
    answer = stack.api.post(url("again"), json={**body, "cursor": cursor})
    assert_problem(answer, 410, "cursor_expired")


def test_a_cursor_ends_when_the_candidates_change(stack: Stack, encoder: Encoder):
    """Another number of candidates is another ranking."""
    plant(stack, encoder, np.random.default_rng(5), segments=5)
    body = {"text": TEXT, "top_k": 2}
    cursor = ask(stack, **body)["next_cursor"]
    stack.catalog.set_recall_candidates("default", 7)
    answer = stack.api.post(url("default"), json={**body, "cursor": cursor})
    assert_problem(answer, 410, "cursor_expired")


def test_a_cursor_outlives_the_process_that_gave_it(tmp_path: Path, encoder: Encoder):
    """The service keeps nothing for it."""
    body = {"text": TEXT, "top_k": 4}
    with open_stack(tmp_path, encoder) as stack:
        for seed in range(4):
            plant(stack, encoder, np.random.default_rng(seed))
        whole = [result["segment_id"] for result in ask(stack, text=TEXT, top_k=50)["results"]]
        pages = [ask(stack, **body)]
    while pages[-1]["next_cursor"]:
        with open_stack(tmp_path, encoder) as restarted:
            pages.append(ask(restarted, **body, cursor=pages[-1]["next_cursor"]))
    assert len(pages) == 3
    assert names(pages) == whole


def test_pages_reach_no_further_than_the_candidates(stack: Stack, encoder: Encoder):
    """Whoever wants more asks for a larger page; the answer says that it is not exact."""
    plant(stack, encoder, np.random.default_rng(6), segments=12)
    stack.catalog.set_recall_candidates("default", 5)
    pages = read_pages(stack, text=TEXT, top_k=2)
    assert len(set(names(pages))) == 5
    assert not any(page["index"]["exact"] for page in pages)
