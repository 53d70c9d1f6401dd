"""Numbers, times and states as the page writes them, at the bounds of their units."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from playwright.sync_api import Browser

from tests.web.modules import Evaluate, importing

NBSP = "\u00a0"
UNITS = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SECONDS = {"s": 1, "min": 60, "h": 3600}


@pytest.fixture(scope="module")
def evaluate(browser: Browser) -> Iterator[Evaluate]:
    """One page for all tests of this file."""
    with importing(browser) as call:
        yield call


def called(evaluate: Evaluate, name: str, *arguments: Any) -> str:
    """What a function of format.js returns."""
    return evaluate(
        "format.js", "(format, [name, given]) => format[name](...given)", [name, arguments]
    )


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (
            "moment",
            {
                0: "0:00",
                0.04: "0:00",
                0.05: "0:00.1",
                9.95: "0:10",
                59.94: "0:59.9",
                59.95: "1:00",
                60: "1:00",
                3599.94: "59:59.9",
                3599.95: "1:00:00",
                36000: "10:00:00",
                360000.1: "100:00:00.1",
            },
        ),
        ("length", {0: "0:01", 1.49: "0:01", 1.5: "0:02", 59.5: "1:00", 3599.5: "1:00:00"}),
        (
            "percent",
            {
                0: f"<1{NBSP}%",
                0.0099: f"<1{NBSP}%",
                0.01: f"1{NBSP}%",
                0.495: f"50{NBSP}%",
                0.99: f"99{NBSP}%",
                0.9901: f">99{NBSP}%",
                1: f">99{NBSP}%",
            },
        ),
        (
            "bytes",
            {
                0: "0 bytes",
                1: "1 bytes",
                999: "999 bytes",
                1000: "1.0 kB",
                9949: "9.9 kB",
                9950: "10 kB",
                999_499: "999 kB",
                999_500: "1.0 MB",
                999_500_000: "1.0 GB",
                999_500_000_000: "1.0 TB",
                10**15: "1000 TB",
                2**53 - 1: "9007 TB",
            },
        ),
        (
            "duration",
            {
                0: "1 s",
                1.4: "1 s",
                59.4: "59 s",
                59.5: "1 min",
                89: "1 min",
                3569: "59 min",
                3570: "1 h",
                5400: "1.5 h",
                86_400: "24 h",
            },
        ),
    ],
)
def test_a_number_is_written_in_its_unit(
    evaluate: Evaluate, name: str, rows: dict[float, str]
) -> None:
    """What would be rounded to the next unit is written in it."""
    script = "(format, [name, all]) => all.map((each) => format[name](each))"
    assert evaluate("format.js", script, [name, list(rows)]) == list(rows.values())


@given(seconds=st.floats(0, 10**6))
@example(seconds=59.95)
def test_a_moment_reads_back(evaluate: Evaluate, seconds: float) -> None:
    """To the tenth of a second, with no part above 59 but the first."""
    said = called(evaluate, "moment", seconds)
    first, *rest = said.split(":")
    assert rest
    assert all(re.fullmatch(r"[0-5]\d(\.[1-9])?", part) for part in rest)
    assert int(first) < 60 or len(rest) == 2
    total = 0.0
    for part in said.split(":"):
        total = 60 * total + float(part)
    assert total == pytest.approx(seconds, abs=0.0501)


@given(count=st.integers(0, 10**15 - 1))
@example(count=999_500)
def test_a_size_is_short_and_near(evaluate: Evaluate, count: int) -> None:
    """Three digits at most, and less than half of the last one off."""
    number, unit = called(evaluate, "bytes", count).split(" ")
    assert float(number) < 1000 or unit == "TB"
    assert len(number.replace(".", "")) <= 3 or unit == "TB"
    step = 0.1 if "." in number else 1
    assert float(number) * UNITS[unit] == pytest.approx(count, abs=0.501 * step * UNITS[unit])


@given(seconds=st.floats(1, 10**6))
@example(seconds=59.7)
@example(seconds=3599)
def test_a_duration_is_near_and_in_the_largest_unit(evaluate: Evaluate, seconds: float) -> None:
    """Nobody reads of 60 seconds or of 60 minutes."""
    number, unit = called(evaluate, "duration", seconds).split(" ")
    assert unit == "h" or float(number) < 60
    step = 0.1 if unit == "h" else 1
    assert float(number) * SECONDS[unit] == pytest.approx(seconds, abs=0.51 * step * SECONDS[unit])


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ["video"], "0 videos"),
        (1, ["video"], "1 video"),
        (2, ["video"], "2 videos"),
        (1, ["match", "matches"], "1 match"),
        (1_000, ["match", "matches"], "1,000 matches"),
        (1_234_567, ["video"], "1,234,567 videos"),
    ],
)
def test_a_count_has_the_right_word(
    evaluate: Evaluate, number: int, words: list[str], said: str
) -> None:
    """One of a thing is the only one in the singular."""
    assert called(evaluate, "count", number, *words) == said


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"status": "queued"}, "queued"),
        ({"status": "queued", "not_before": "2026-01-01T00:00:00Z"}, "queued"),
        (
            {"status": "queued", "not_before": "2026-01-01T00:00:00Z", "error": {}},
            "waiting to retry",
        ),
        ({"status": "running", "stage": None, "eta_s": None}, "starting"),
        ({"status": "running", "stage": "probe", "eta_s": None}, "opening"),
        ({"status": "running", "stage": "encode", "eta_s": 0}, "encoding, about 1 s left"),
        ({"status": "running", "stage": "commit", "eta_s": 59.6}, "storing, about 1 min left"),
        ({"status": "running", "stage": "of a newer service", "eta_s": None}, "starting"),
        ({"status": "succeeded"}, "ready to search"),
        ({"status": "failed"}, "failed"),
        ({"status": "canceled"}, "canceled"),
    ],
)
def test_a_job_is_said_in_words(evaluate: Evaluate, job: dict[str, Any], said: str) -> None:
    """Its state, and how long it goes on where the service can tell."""
    assert called(evaluate, "doing", job) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "just now"), (9, "just now"), (12, "12 s ago"), (120, "2 min ago"), (7200, "2 h ago")],
)
def test_a_time_is_said_as_how_long_ago(evaluate: Evaluate, seconds: int, said: str) -> None:
    """Also one that a clock ahead of this one has written."""
    script = "({ ago }, s) => ago(new Date(Date.now() - 1000 * s).toISOString())"
    assert evaluate("format.js", script, seconds) == said
    assert evaluate("format.js", script, -5) == "just now"


def test_a_date_is_in_the_readers_own_time(evaluate: Evaluate) -> None:
    """The service tells UTC; this page's reader is in Berlin, with summer time."""
    said = [called(evaluate, "date", f"2026-{month}-01T22:30:00Z") for month in ("01", "07")]
    assert said == ["1 Jan 2026, 23:30", "2 Jul 2026, 00:30"]
