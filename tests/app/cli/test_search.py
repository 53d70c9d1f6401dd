"""`xclip-search search` against a running service, and how answers look on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from app import schemas
from app.cli.tables import moment, plain

RunCommand = Callable[..., Result]
MakeClip = Callable[..., Path]


@pytest.fixture
def search(
    command: RunCommand, make_clip: MakeClip, running_service: str, collection: str
) -> RunCommand:
    """Searches a collection that holds a long and a short video."""
    clips = [make_clip("long.mp4", seconds=2.5, seed=5), make_clip("short.mp4", seconds=0.8)]
    place = ("--collection", collection, "--url", running_service)
    assert command("ingest", *clips, *place).exit_code == 0
    return lambda *arguments: command("search", *arguments, *place)


def test_moments_are_ranked_in_a_table(search: RunCommand) -> None:
    """The rows are the service's answer: rank, video, moment as m:ss.s, score."""
    table = search("a red square moves left").output.splitlines()
    answer = schemas.SearchAnswer.model_validate_json(
        search("a red square moves left", "--json").output
    )
    assert table[0].split() == ["rank", "video", "moment", "score"]
    assert len(answer.results) == 5
    for rank, (line, result) in enumerate(zip(table[1:], answer.results, strict=False), start=1):
        when = f"{moment(result.start)}–{moment(result.end)}"
        assert line.split() == [str(rank), result.filename, when, f"{result.score:.2f}"]
    scores = [result.score for result in answer.results]
    assert scores == sorted(scores, reverse=True)


def test_top_k_limits_the_rows(search: RunCommand) -> None:
    """As many moments as asked for."""
    answer = schemas.SearchAnswer.model_validate_json(
        search("a blue circle", "--json", "--top-k", 2).output
    )
    assert len(answer.results) == 2


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
    assert "must contain a visible character" in result.output
    assert "invalid_request" in result.output


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
