"""`xclip-search search` against a running service, and how answers look on a terminal."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import Result

from app.cli.commands.ingest import Item, ingest
from app.cli.output import moment, percent, plain
from app.cli.tables import nothing_found
from tests.app.conftest import write_clip
from xclip_search import Client, schemas

RunCommand = Callable[..., Result]
Ask = Callable[..., schemas.SearchAnswer]


@pytest.fixture(scope="module")
def videos(running_service: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a collection that holds a long and a short video; not to be changed."""
    name, folder = "searched", tmp_path_factory.mktemp("videos")
    with Client(running_service) as client:
        url = f"{running_service}/v1/collections/{name}"
        assert httpx.put(url, trust_env=False, timeout=120).status_code == 201
        items = [
            Item(write_clip(folder / "long.mp4", seconds=2.5, seed=5), {"camera": "north"}),
            Item(write_clip(folder / "short.mp4", seconds=0.8, seed=6), {"camera": "south"}),
        ]
        assert not ingest(client, name, items, Console(quiet=True)).failures
    return name


@pytest.fixture
def search(command: RunCommand, running_service: str, videos: str) -> RunCommand:
    """Runs `search` over the two videos."""
    place = ("--collection", videos, "--url", running_service)
    return lambda *arguments: command("search", *arguments, *place)


@pytest.fixture
def answer(search: RunCommand) -> Ask:
    """What the service answers, by `--json`."""

    def ask(*arguments: object) -> schemas.SearchAnswer:
        printed = search(*arguments, "--json")
        assert printed.exit_code == 0, printed.output
        return schemas.SearchAnswer.model_validate_json(printed.output)

    return ask


def test_moments_are_ranked_in_a_table(search: RunCommand, answer: Ask) -> None:
    """The rows are the service's answer: rank, video, moment as m:ss.s, confidence, score."""
    asked = ("a red square moves left", "--no-merge")
    table = search(*asked).output.splitlines()
    results = answer(*asked).results
    assert table[0].split() == ["rank", "video", "moment", "confidence", "score"]
    assert len(results) == 5
    for rank, (line, result) in enumerate(zip(table[1:], results, strict=False), start=1):
        when = f"{moment(result.start)}–{moment(result.end)}"
        sure = percent(result.confidence).shown.plain
        assert line.split() == [str(rank), result.filename, when, sure, f"{result.score:.2f}"]
    scores = [result.score for result in results]
    assert scores == sorted(scores, reverse=True)


def test_top_limits_the_rows(answer: Ask) -> None:
    """As many moments as asked for."""
    assert len(answer("a blue circle", "--no-merge", "--top", 2).results) == 2


def test_windows_are_joined_unless_told_otherwise(answer: Ask) -> None:
    """By default no two moments of a video have a window in common, and none is left out."""
    joined = [set(result.segment_ids) for result in answer("a blue circle").results]
    single = [result.segment_id for result in answer("a blue circle", "--no-merge").results]
    assert sorted(itertools.chain.from_iterable(joined)) == sorted(single)


def test_a_video_is_shown_once_by_video(answer: Ask) -> None:
    """--by-video keeps the best moment of each."""
    results = answer("a blue circle", "--by-video").results
    assert sorted(result.filename for result in results) == ["long.mp4", "short.mp4"]


def test_a_filter_says_where_to_look(search: RunCommand, answer: Ask) -> None:
    """The language of docs/filters.md; one that leaves nothing is said in words."""
    results = answer("a blue circle", "--filter", '{"camera": "south"}').results
    assert [result.filename for result in results] == ["short.mp4"]
    nothing = search("a blue circle", "--filter", '{"camera": "west"}')
    assert "The filter excludes all 5 segments." in nothing.output


def test_events_in_order_are_shown_below_their_moment(search: RunCommand, answer: Ask) -> None:
    """--then takes more events; each has a row with its own time."""
    asked = ("a red square", "--then", "a blue circle", "--within", 1)
    (result,) = answer(*asked).results
    assert result.steps is not None
    assert [step.text for step in result.steps] == ["a red square", "a blue circle"]
    table = search(*asked).output
    for step in result.steps:
        assert re.search(rf"{step.text} +{moment(step.start)}–{moment(step.end)}", table)


def test_events_that_nothing_shows_are_said_in_words(search: RunCommand) -> None:
    """Four windows of a second after each other do not fit into these videos."""
    result = search("one", "--then", "two", "--then", "three", "--then", "four")
    assert result.exit_code == 0
    assert "No video shows these events one after the other" in result.output


def test_what_is_not_wanted_costs(answer: Ask) -> None:
    """--not ranks by the text without the other one."""
    contrast = answer("a red square", "--not", "a blue circle", "--no-merge")
    plain_one = answer("a red square", "--no-merge")
    assert contrast.score_kind == "xclip_logit_contrast"
    without = {result.segment_id: result.score for result in plain_one.results}
    assert all(result.score <= without[result.segment_id] for result in contrast.results)


def test_a_moment_finds_others_like_it(search: RunCommand, answer: Ask) -> None:
    """--like takes a segment's id, which is not among what it finds; there is no confidence."""
    first = answer("a red square").results[0].segment_id
    found = answer("--like", first, "--no-merge")
    assert len(found.results) == 4
    assert first not in {result.segment_id for result in found.results}
    assert "—" in search("--like", first).output


def test_a_file_finds_moments_like_it(search: RunCommand, answer: Ask, tmp_path: Path) -> None:
    """The clip that went in comes first."""
    clip = write_clip(tmp_path / "again.mp4", seconds=0.8, seed=6)
    best = answer("--clip", clip).results[0]
    assert (best.filename, best.score) == ("short.mp4", pytest.approx(1, abs=1e-3))
    assert "short.mp4" in search("--clip", clip).output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "say what to find"),
        (("a square", "--like", "seg_1"), "say what to find"),
        (("--like", "seg_1", "--then", "a square"), "go with TEXT"),
        (("--like", "seg_1", "--min-confidence", 0.5), "go with TEXT"),
        (("a square", "--then", "a ring", "--not", "a star"), "--not goes with a single TEXT"),
        (("a square", "--filter", "[]"), "is not a JSON object"),
    ],
)
def test_what_cannot_go_together_is_refused(
    command: RunCommand, arguments: tuple[object, ...], why: str
) -> None:
    """Before anything is sent, in the words of the command line."""
    result = command("search", *arguments, "--url", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert why in result.output


def test_an_empty_collection_is_said_in_words(
    command: RunCommand, running_service: str, collection: str
) -> None:
    """No table of nothing."""
    result = command("search", "anything", "--collection", collection, "--url", running_service)
    assert result.exit_code == 0
    assert "no searchable video" in result.output


def test_a_refused_text_is_explained(command: RunCommand, running_service: str) -> None:
    """The service's reason reaches the terminal, with its code and status 1."""
    result = command("search", "   ", "--url", running_service)
    assert result.exit_code == 1
    assert "error: text: must contain a visible character (invalid_request)" in result.output


def test_a_refused_filter_names_the_place(search: RunCommand) -> None:
    """The path into the filter, then what is wrong there."""
    result = search("a square", "--filter", '{"duration": {"near": 3}}')
    assert result.exit_code == 1
    assert "error: filter.duration.near: unknown operator" in result.output
    assert "invalid_filter" in result.output


def test_minimum_confidence_needs_a_model_with_a_confidence(search: RunCommand) -> None:
    """Nothing is fitted to this random model: a dash in the table, a refusal for a least one."""
    assert "—" in search("a square").output
    refused = search("a square", "--min-confidence", 0.5)
    assert refused.exit_code == 1
    assert "not_calibrated" in refused.output


@pytest.mark.parametrize(
    ("total", "eligible", "abstained", "sentence"),
    [
        (0, 0, True, "no searchable video"),
        (9, 0, True, "excludes all 9 segments"),
        (9, 4, True, "Nothing here matches with that confidence"),
        (9, 4, False, "No video shows these events"),
    ],
)
def test_nothing_found_is_said_in_a_sentence(
    total: int, eligible: int, abstained: bool, sentence: str
) -> None:
    """Nothing there, nothing allowed, nothing confident and nothing in order are told apart."""
    answer = schemas.SearchAnswer(
        query="a square",
        results=[],
        next_cursor=None,
        abstained=abstained,
        score_kind="xclip_logit",
        confidence_kind=None,
        index=schemas.IndexState(
            segments_total=total,
            segments_eligible=eligible,
            segments_damaged=0,
            exact=True,
            recall=None,
            model="m",
            snapshot=1,
        ),
        timings_ms=schemas.SearchTimings(encode=0, filter=0, recall=0, score=0, total=0),
    )
    assert sentence in nothing_found(answer)


@pytest.mark.parametrize(
    ("confidence", "shown"),
    [(None, "—"), (0, "<1%"), (0.004, "<1%"), (0.5, "50%"), (0.99, "99%"), (0.996, ">99%")],
)
def test_a_percentage_is_never_rounded_to_0_or_100(confidence: float | None, shown: str) -> None:
    """Neither 0 % nor 100 % is claimed, and what is not known is a dash."""
    assert percent(confidence).shown.plain == shown


def test_the_settings_say_where_the_service_is(
    command: RunCommand, running_service: str, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --url the commands go where XCLIP_HOST and XCLIP_PORT point; a typo is refused."""
    monkeypatch.setenv("XCLIP_PORT", running_service.rsplit(":", 1)[1])
    assert command("search", "anything", "--collection", collection).exit_code == 0
    monkeypatch.setenv("XCLIP_PROT", "1")
    refused = command("search", "anything", "--collection", collection)
    assert refused.exit_code != 0
    assert "XCLIP_PROT" in refused.output


@given(st.integers(0, 10**6))
def test_a_moment_reads_back(tenths: int) -> None:
    """m:ss.s is minutes and seconds below 60, to the tenth."""
    minutes, seconds = moment(tenths / 10).split(":")
    assert len(seconds) == 4
    assert float(seconds) < 60
    assert round(10 * (60 * int(minutes) + float(seconds))) == tenths


def test_a_moment_rounds_over_the_minute() -> None:
    """59.96 s is a minute, not sixty seconds."""
    assert moment(59.96) == "1:00.0"


@given(st.text())
def test_text_from_elsewhere_steers_nothing(text: str) -> None:
    """No control character reaches the terminal, and markup stays text."""
    shown = plain(f"[red]{text}").plain
    assert shown.startswith("[red]")
    assert shown.isprintable()
    assert len(shown) == len(text) + len("[red]")
