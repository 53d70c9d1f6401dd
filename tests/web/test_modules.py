"""Unit tests of the page's JavaScript modules, imported in Chromium without a service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.web.modules import Evaluate, importing

TEXT_QUERY = {
    "text": "a dog",
    "then": "",
    "within": 30,
    "not": "",
    "like": "",
    "confident": False,
    "windows": False,
    "byVideo": False,
    "filters": [],
}


@pytest.fixture
def evaluate(browser: Browser) -> Iterator[Evaluate]:
    """A page of its own, with nothing kept."""
    with importing(browser) as call:
        yield call


def test_a_query_survives_its_address(evaluate: Evaluate):
    """What `address` writes, `fromParams` reads back unchanged, every option set."""
    query = TEXT_QUERY | {
        "then": "a cat & a ball",
        "within": 12.5,
        "confident": True,
        "windows": True,
        "byVideo": True,
        "filters": [["camera", "eq", "north"], ["duration", "gte", 5], ["x", "exists", True]],
    }
    read = evaluate(
        "query.js",
        "({ address, fromParams }, query) =>"
        " fromParams(new URLSearchParams(address(query).split('?')[1]))",
        query,
    )
    assert read == query


def test_a_damaged_filter_in_an_address_is_ignored(evaluate: Evaluate):
    """A truncated, incomplete or unknown filter does not break the view."""
    filters = evaluate(
        "query.js",
        "({ fromParams }, all) =>"
        " fromParams(new URLSearchParams(all.map((f) => ['f', f]))).filters",
        ['["camera","eq"', '["camera","eq"]', '["camera","near",1]', '["camera","ne",1]'],
    )
    assert filters == [["camera", "ne", 1]]


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({}, {"filter": None, "text": "a dog", "merge": True}),
        (
            {"not": "a cat", "confident": True, "windows": True},
            {
                "filter": None,
                "text": "a dog",
                "merge": False,
                "negative_text": "a cat",
                "min_confidence": 0.5,
            },
        ),
        ({"then": "a cat"}, {"filter": None, "then": ["a dog", "a cat"], "within_s": 30}),
        (
            {"like": "seg_1", "confident": True, "byVideo": True},
            {"filter": None, "segment_id": "seg_1", "merge": True, "group_by": "video"},
        ),
        (
            {"filters": [["camera", "eq", "north"], ["duration", "gt", 3]]},
            {
                "filter": {"and": [{"metadata.camera": {"eq": "north"}}, {"duration": {"gt": 3}}]},
                "text": "a dog",
                "merge": True,
            },
        ),
    ],
    ids=["text", "options", "sequence", "similar", "filters"],
)
def test_a_query_becomes_one_request_body(evaluate: Evaluate, change: dict, body: dict):
    """Each kind of query sends the fields that the API takes for it, and no others."""
    assert evaluate("query.js", "({ body }, query) => body(query)", TEXT_QUERY | change) == body


@pytest.mark.parametrize(
    ("typed", "value"),
    [(" 7 ", 7), ("-1.5", -1.5), ("true", True), ('"7"', "7"), ("007", "007"), ("a b", "a b")],
)
def test_a_typed_value_gets_its_type(evaluate: Evaluate, typed: str, value: object):
    """Numbers and booleans are parsed; quotes keep text; other text stays as typed."""
    assert evaluate("query.js", "({ valueOf }, typed) => valueOf(typed)", typed) == value


def test_recent_searches_are_few_and_without_repeats(evaluate: Evaluate):
    """The newest comes first, a repeated one moves up, and the ninth drops out."""
    kept = evaluate(
        "query.js",
        """({ recent, remember }, query) => {
          for (const n of [0, 1, 2, 3, 4, 5, 6, 7, 8, 3])
            remember("default", { ...query, text: `${n}` });
          return [recent.get(), JSON.parse(localStorage.getItem("xclip-recent"))];
        }""",
        TEXT_QUERY,
    )
    assert kept[0] == kept[1]
    assert [each["words"] for each in kept[0]] == [f"“{n}”" for n in (3, 8, 7, 6, 5, 4, 2, 1)]


def test_an_address_stays_in_its_collection(evaluate: Evaluate):
    """`href` adds the current collection, leaves out the default one and empty parameters."""
    hrefs = evaluate(
        "route.js",
        """({ go, href }) => {
          const before = href("/", { q: "a b", many: true, none: null, label: ["x", "y"] });
          go("#/library?c=films");
          return [before, href("/jobs"), href("/jobs", { c: "default" })];
        }""",
    )
    assert hrefs == ["#/?q=a+b&many=1&label=x&label=y", "#/jobs?c=films", "#/jobs"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("moment(0)", "0:00"),
        ("moment(59.96)", "1:00"),
        ("moment(3725.25)", "1:02:05.3"),
        ("length(0.2)", "0:01"),
        ("percent(0)", "<1\u00a0%"),
        ("percent(0.5)", "50\u00a0%"),
        ("percent(1)", ">99\u00a0%"),
        ("bytes(999)", "999 bytes"),
        ("bytes(1500)", "1.5 kB"),
        ("bytes(25e9)", "25 GB"),
        ("duration(0.1)", "1 s"),
        ("duration(5400)", "1.5 h"),
        ("count(1, 'video')", "1 video"),
        ("count(1234, 'video')", "1,234 videos"),
        ("doing({ status: 'queued', not_before: 1, error: {} })", "waiting to retry"),
        (
            "doing({ status: 'running', stage: 'encode', eta_s: 90 })",
            "encoding, about 2 min left",
        ),
    ],
)
def test_numbers_and_states_as_text(evaluate: Evaluate, call: str, text: str):
    """Times carry over to the next unit, and a confidence is never said to be 0 % or 100 %."""
    assert evaluate("format.js", f"(format) => format.{call}") == text


def test_a_store_tells_its_readers(evaluate: Evaluate):
    """Each reader hears each change once, until it leaves, even in the midst of a change."""
    heard = evaluate(
        "store.js",
        """({ store }) => {
          const [kept, heard] = [store(1), []];
          const leave = kept.subscribe((value) => { heard.push(["a", value]); leave(); });
          kept.subscribe((value) => heard.push(["b", value]));
          kept.set(2);
          kept.set((before) => before + 1);
          return heard;
        }""",
    )
    assert heard == [["a", 2], ["b", 2], ["b", 3]]


def test_a_kept_store_survives_damaged_storage(evaluate: Evaluate):
    """What is not JSON counts as nothing kept."""
    script = """({ keptStore }) => {
      localStorage.setItem("kept", "{");
      return keptStore("kept", ["first"]).get();
    }"""
    assert evaluate("store.js", script) == ["first"]


def test_score_bars_span_the_lowest_to_the_highest(evaluate: Evaluate):
    """Heights are relative to the video; equal scores are all full; 50 % confidence is strong."""
    pieces = [
        {"start": 0, "end": 2, "score": 10, "confidence": 0.2},
        {"start": 2, "end": 4, "score": 20, "confidence": 0.5},
    ]
    script = "({ scoreBars }, heat) => scoreBars(heat).map((b) => [b.height, b.strong, b.title])"
    fitted = {"pieces": pieces, "confidence_kind": "fitted"}
    assert evaluate("parts/timeline.js", script, fitted) == [
        [0.12, False, "0:00 – 0:02: score 10.00, 20\u00a0% confidence within this video"],
        [1, True, "0:02 – 0:04: score 20.00, 50\u00a0% confidence within this video"],
    ]
    equal = {"pieces": pieces[:1], "confidence_kind": None}
    assert evaluate("parts/timeline.js", script, equal) == [[1, True, "0:00 – 0:02: score 10.00"]]


def test_label_bars_do_not_overlap(evaluate: Evaluate):
    """Each segment's bar ends where the next segment starts; a missing score is a thin bar."""
    segments = [
        {"start": 0, "end": 4, "scores": {"dog": 0.75}},
        {"start": 2, "end": 6, "scores": {}},
    ]
    script = """({ labelBars }, all) =>
      labelBars(all, "dog").map((b) => [b.start, b.end, b.height, b.strong])"""
    bars = evaluate("parts/timeline.js", script, segments)
    assert bars == [[0, 2, 0.75, True], [2, 6, 0.02, False]]


@pytest.mark.parametrize(
    ("text", "message", "code"),
    [
        ('{"detail": "Too many.", "code": "rate_limited"}', "Too many.", "rate_limited"),
        ('{"detail": "Bad.", "errors": [{"msg": "one"}, {"msg": "two"}]}', "one; two", None),
        ("<html>", "The service answered 429.", None),
        ("{}", "The service answered 429.", None),
    ],
    ids=["detail", "errors", "not JSON", "empty"],
)
def test_an_error_response_becomes_a_problem(
    evaluate: Evaluate, text: str, message: str, code: str | None
):
    """Its message is the service's own sentence if there is one."""
    script = """({ Problem, problem }, text) => {
      const error = problem(429, text, 5);
      return [error instanceof Problem, error.message, error.code, error.status, error.retryAfter];
    }"""
    assert evaluate("service.js", script, text) == [True, message, code, 429, 5]
