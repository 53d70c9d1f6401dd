"""The retrieval benchmark's report: its bars belong to lines that exist, and each is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import retrieval
from benchmarks.estimates import Tally
from benchmarks.near_misses import R1, VALUES, Answer, changed, tally_measures
from benchmarks.retrieval import ALL, BARS, HELD, OTHER, Report, model_source, print_report
from xclip.motion.world import HELD_OUT

SHOWN = HELD_OUT[0]


@pytest.fixture
def report() -> Report:
    """One clip, found at once and with the right confidence, in every gallery of near misses."""
    scores = {other: 0.0 for factor in VALUES for other in changed(SHOWN, factor)} | {SHOWN: 1.0}
    answer = Answer(SHOWN, (SHOWN,), 1.0, 0.0, scores)
    made = Report()
    for table in (ALL, HELD, OTHER):
        tally = Tally(table)
        tally_measures(tally, answer)
        answer.tally_confidence(tally)
        made.add(tally, 320)
    made.contrasts[ALL] = retrieval.Contrasts()
    made.contrasts[ALL].add(answer)
    return made


def test_every_bar_stands_beside_its_figure(report: Report) -> None:
    """No bar names a table or a measure that the benchmark does not have."""
    shown = {(line.table, line.measure): line.bar for line in report.results if line.bar}
    assert shown == BARS


def test_guessing_is_what_the_size_of_the_gallery_gives(report: Report) -> None:
    """Of 320 clips one is right, of five shapes one, and of two captions one."""
    chances = {line.measure: line.chance for line in report.results}
    assert chances[R1] == 1 / 320
    assert chances[retrieval.first_has("shape")] == 1 / 5
    assert chances[retrieval.two_way("shape")] == 0.5


def test_a_report_is_printed_in_full(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line has its figure, its interval and its bar, and contrasts follow by factor."""
    print_report(report, "motion-tiny")
    printed = capsys.readouterr().out
    for line in report.results:
        assert line.measure in printed
    assert "1.000–1.000" in printed
    assert "≥ 0.95" in printed
    assert "true shape above another" in printed
    assert "…" not in printed


def test_a_checkpoint_is_a_name_or_a_folder(tmp_path: Path, monkeypatch) -> None:
    """A folder that is there becomes an absolute path, since the service runs elsewhere."""
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert model_source("mine") == str(tmp_path / "mine")
    assert model_source("motion-tiny") == "motion-tiny"
