"""A search as its address, its request and its words, for every query that the page can hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser

from app.catalog.filters import parse_filter
from tests.web.modules import Evaluate, importing
from xclip_search import schemas

OPERATORS = ("eq", "ne", "gte", "lte", "gt", "lt")
READ = "({ fromParams }, query) => fromParams(new URLSearchParams(query))"
WRITE = "({ address }, query) => address(query)"
BODY = "({ body }, query) => body(query)"
# A query that the form can make: trimmed words, and whichever options do not shut each other out.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=8)
VALUES = WORDS | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans()
FILTERS = st.tuples(WORDS, st.sampled_from(("eq", "ne")), VALUES).map(list)
EXISTS = st.tuples(WORDS, st.just("exists"), st.booleans()).map(list)
QUERIES = st.fixed_dictionaries(
    {
        "text": WORDS,
        "then": st.just("") | WORDS,
        "within": st.integers(0, 86_400) | st.just(12.5),
        "not": st.just("") | WORDS,
        "like": st.just("") | st.just("seg_0a1"),
        "confident": st.booleans(),
        "windows": st.booleans(),
        "byVideo": st.booleans(),
        "filters": st.lists(FILTERS | EXISTS, max_size=3),
    }
)


@pytest.fixture(scope="module")
def evaluate(browser: Browser) -> Iterator[Evaluate]:
    """One page for all tests of this file."""
    with importing(browser) as call:
        yield call


@given(query=QUERIES)
def test_an_address_brings_a_query_back(evaluate: Evaluate, query: dict[str, Any]) -> None:
    """Every option, filter and letter; only the time between events that nothing uses is not."""
    address = evaluate("query.js", WRITE, query)
    path, _, written = address.partition("?")
    expected = query if query["then"] else query | {"within": 30}
    assert path == "#/"
    assert evaluate("query.js", READ, written) == expected


@given(text=TEXTS, then=TEXTS)
def test_any_letters_can_stand_in_an_address(evaluate: Evaluate, text: str, then: str) -> None:
    """Python reads the same words from it as the page."""
    query = {"text": text, "then": then, "filters": []}
    written = evaluate("query.js", WRITE, query).partition("?")[2]
    assert dict(parse_qsl(written)) == {
        name: value for name, value in (("q", text), ("then", then)) if value
    }


@given(query=QUERIES)
def test_the_service_takes_every_request(evaluate: Evaluate, query: dict[str, Any]) -> None:
    """No query that the form can make is refused by the model that the service reads it with."""
    request = evaluate("query.js", BODY, query)
    read = schemas.SearchRequest.model_validate_json(json.dumps(request))
    assert (read.segment_id or "") == query["like"]
    assert (read.group_by == "video") is query["byVideo"]
    if query["like"]:
        assert read.text is read.then is read.min_confidence is None
        return
    assert read.min_confidence == (0.5 if query["confident"] else None)
    if query["then"]:
        assert (read.then, read.within_s) == ([query["text"], query["then"]], query["within"])
    else:
        assert read.text == query["text"]
        assert (read.negative_text or "") == query["not"]
        assert read.merge is not query["windows"]


@given(operator=st.sampled_from(OPERATORS), name=WORDS, value=st.integers(-99, 99))
def test_a_filter_is_one_of_the_service(
    evaluate: Evaluate, operator: str, name: str, value: int
) -> None:
    """Own fields by their name, every other word as one of the metadata."""
    fields = ["duration", "start", "end", name]
    query = {"text": "a", "filters": [[field, operator, value] for field in fields]}
    conditions = evaluate("query.js", BODY, query)["filter"]["and"]
    parse_filter({"and": conditions})
    assert [next(iter(each)) for each in conditions] == [*fields[:3], f"metadata.{name}"]
    assert all(next(iter(each.values())) == {operator: value} for each in conditions)


@pytest.mark.parametrize(
    ("address", "changed"),
    [
        ("", {}),
        ("q=", {}),
        ("q=a+b%20c", {"text": "a b c"}),
        ("q=%E2%82", {"text": "\ufffd"}),
        ("q=100%", {"text": "100%"}),
        ("q=one&q=two", {"text": "one"}),
        ("sure", {"confident": True}),
        ("sure=0", {"confident": True}),
        ("within=", {}),
        ("within=0", {"within": 0}),
        ("within=12.5", {"within": 12.5}),
        ("within=-1", {}),
        ("within=soon", {}),
        ("within=NaN", {}),
        ("within=1e9", {"within": 86_400}),
        ("within=Infinity", {"within": 86_400}),
        ("unknown=1", {}),
    ],
)
def test_an_address_that_was_cut_or_changed_still_reads(
    evaluate: Evaluate, address: str, changed: dict[str, Any]
) -> None:
    """What cannot be meant is as if it were not there."""
    empty = {"text": "", "then": "", "within": 30, "not": "", "like": "", "filters": []}
    empty |= {"confident": False, "windows": False, "byVideo": False}
    assert evaluate("query.js", READ, address) == empty | changed


@pytest.mark.parametrize(
    "written",
    ["", "null", "1", '"a"', "{}", "[]", '["a"]', '["a","eq",1,2]', '["a","EQ",1]']
    + [f'["a","{name}",1]' for name in ("toString", "constructor", "__proto__", "hasOwnProperty")],
)
def test_a_filter_without_a_known_operator_is_none(evaluate: Evaluate, written: str) -> None:
    """Also not by the name of something that every object of JavaScript has."""
    address = urlencode([("f", written), ("f", '["a","lt",1]')])
    assert evaluate("query.js", READ, address)["filters"] == [["a", "lt", 1]]


def test_a_typed_value_is_a_number_only_if_it_looks_like_one(evaluate: Evaluate) -> None:
    """In the notation of the service's JSON; what only resembles it is text."""
    typed = {
        "0": 0,
        "-0.5": -0.5,
        "  12  ": 12,
        "9007199254740991": 2**53 - 1,
        "true": True,
        "false": False,
        "null": None,
        '""': "",
        '"a b"': "a b",
        '"\\u00fc"': "ü",
        '"a"b"': '"a"b"',
        '"': '"',
        **{
            text: text for text in ("1e5", "1.", ".5", "+1", "--1", "0x10", "1,5", "01", "Infinity")
        },
        **{text: text for text in ("True", "undefined", "٣", "[1]", '{"a": 1}', "", "a\tb")},
    }
    script = "({ valueOf }, all) => all.map(valueOf)"
    assert evaluate("query.js", script, list(typed)) == list(typed.values())


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"text": "a dog"}, "“a dog”"),
        ({"text": "a dog", "not": "a cat"}, "“a dog”, not “a cat”"),
        ({"text": "a", "then": "b"}, "“a”, then “b”"),
        ({"text": "a", "like": "seg_1"}, "more like a moment"),
        ({"text": "a", "filters": [["x", "exists", True]]}, "“a”, x exists"),
        ({"text": "a", "filters": [["x", "exists", False]]}, "“a”, x does not exist"),
        (
            {"text": "a", "filters": [["duration", "gte", 5], ["x", "ne", False]]},
            "“a”, duration at least 5, x is not false",
        ),
    ],
)
def test_a_query_is_said_in_words(evaluate: Evaluate, query: dict[str, Any], said: str) -> None:
    """As a title, with everything that narrows it."""
    query = {"then": "", "not": "", "like": "", "filters": []} | query
    assert evaluate("query.js", "({ words }, query) => words(query)", query) == said


def test_a_saved_search_is_kept_until_it_is_taken_back(evaluate: Evaluate) -> None:
    """By collection and address: the same words elsewhere are another one."""
    script = """({ entry, isSaved, saved, toggleSaved }, query) => {
      const [here, there] = [entry("default", query), entry("films", query)];
      const seen = [];
      for (const made of [here, there, here]) {
        toggleSaved(made);
        seen.push([isSaved(saved.get(), here), isSaved(saved.get(), there)]);
      }
      return [seen, JSON.parse(localStorage.getItem("xclip-saved")).map(({ c }) => c)];
    }"""
    query = {"text": "a", "filters": []}
    seen, kept = evaluate("query.js", script, query)
    assert seen == [[True, False], [True, True], [False, True]]
    assert kept == ["films"]


def test_a_search_by_example_is_not_remembered(evaluate: Evaluate) -> None:
    """Its words would not say which moment it was."""
    script = """({ recent, remember }) => {
      remember("default", { text: "", like: "seg_1", filters: [] });
      return recent.get();
    }"""
    assert evaluate("query.js", script) == []


ADDRESSES = [
    ("", "/", "default"),
    ("#", "/", "default"),
    ("#/jobs", "/jobs", "default"),
    ("#/jobs?c=films", "/jobs", "films"),
    ("#/jobs?c=", "/jobs", "default"),
    ("#/jobs?c=a&c=b", "/jobs", "a"),
    ("#/jobs?c=a?b", "/jobs", "a?b"),
    ("#/jobs?", "/jobs", "default"),
    ("#?c=films", "/", "films"),
    ("#constructor", "constructor", "default"),
]


def test_an_address_is_a_path_and_a_collection(evaluate: Evaluate) -> None:
    """The first question mark parts them, and an empty collection is the one that always exists."""
    script = """({ collectionOf, go, route }, all) => all.map((to) => {
      go("#/elsewhere");
      go(to || "#");
      return [to, route.get().path, collectionOf(route.get())];
    })"""
    read = evaluate("route.js", script, [address for address, *_ in ADDRESSES])
    assert [tuple(each) for each in read] == ADDRESSES


def test_going_back_returns_to_what_was_shown(evaluate: Evaluate) -> None:
    """Each address once: the same one again, and one put in its place, are no step."""
    script = """async ({ go, route }) => {
      const seen = [];
      route.subscribe(({ path }) => seen.push(path));
      go("#/a");
      go("#/a");
      go("#/b");
      go("#/c", { replace: true });
      const back = new Promise((resolve) => addEventListener("popstate", resolve, { once: true }));
      history.back();
      await back;
      return [seen, location.hash];
    }"""
    assert evaluate("route.js", script) == [["/a", "/b", "/c", "/a"], "#/a"]


@pytest.mark.parametrize(
    ("operator", "value", "condition"),
    [
        ("gte", "2026-05-04", {"created": {"gte": "2026-05-03T22:00:00.000Z"}}),
        ("lt", "2026-05-04T08:30", {"created": {"lt": "2026-05-04T06:30:00.000Z"}}),
        ("lt", "2026-01-04 08:30", {"created": {"lt": "2026-01-04T07:30:00.000Z"}}),
        ("gt", "2026-05-04T03:02:01Z", {"created": {"gt": "2026-05-04T03:02:01.000Z"}}),
        (
            "eq",
            "2026-03-29",  # the day that has 23 hours
            {"created": {"gte": "2026-03-28T23:00:00.000Z", "lt": "2026-03-29T22:00:00.000Z"}},
        ),
        (
            "ne",
            "2026-05-04",
            {
                "not": {
                    "created": {"gte": "2026-05-03T22:00:00.000Z", "lt": "2026-05-04T22:00:00.000Z"}
                }
            },
        ),
        ("gte", "yesterday", {"created": {"gte": "yesterday"}}),
        ("gte", 2026, {"created": {"gte": 2026}}),
        ("gte", "2026-13-77", {"created": {"gte": "2026-13-77"}}),
    ],
)
def test_a_day_is_the_readers_own(
    evaluate: Evaluate, operator: str, value: object, condition: dict[str, Any]
) -> None:
    """A time without a zone is local, a day begins at local midnight; what is neither stays."""
    query = {"text": "a", "filters": [["created", operator, value]]}
    assert evaluate("query.js", BODY, query)["filter"] == {"and": [condition]}


def test_a_time_is_said_as_the_reader_writes_it(evaluate: Evaluate) -> None:
    """Local, without the hour where it is midnight; a field named like an object's own is a key."""
    script = "({ filterWords }, filters) => filters.map(filterWords)"
    filters = [
        ["created", "gte", "2026-05-03T22:00:00.000Z"],
        ["created", "lt", "2026-05-04T06:30:00.000Z"],
        ["created", "eq", "2026-05-04"],
        ["duration", "gt", 5],
        ["constructor", "eq", "x"],
    ]
    assert evaluate("query.js", script, filters) == [
        "created on or after 4 May 2026",
        "created before 4 May 2026, 08:30",
        "created is 4 May 2026",
        "duration more than 5",
        "constructor is x",
    ]
