"""`xclip-search evaluate` on a folder of generated clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from xclip.motion.clips import sample_clips
from xclip.motion.world import HELD_OUT

RunCommand = Callable[..., Result]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips and a table of them in which one more is named that is not there."""
    folder = tmp_path_factory.mktemp("clips")
    plans = sample_clips(np.random.default_rng(3), 4, HELD_OUT)
    lines = [f"{plan.write(folder).name},{plan.events[0].caption}" for plan in plans]
    lost = "gone.mp4,a film that was lost"
    (folder / "list.csv").write_text("\n".join(["path,caption", *lines, lost]))
    return folder / "list.csv"


@pytest.fixture
def run(command: RunCommand, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    monkeypatch.setenv("XCLIP_THREADS", "1")
    monkeypatch.setenv("XCLIP_DEVICE", "cpu")
    return command


def test_retrieval_prints_a_table_and_keeps_all_that_was_measured(
    run: RunCommand, table: Path, tmp_path: Path
):
    """Both directions by every way to score; what could not be decoded is told."""
    pytest.importorskip("matplotlib")
    report, plots = tmp_path / "report.json", tmp_path / "plots"
    result = run("evaluate", "retrieval", table, "--json", report, "--plots", plots)
    assert result.exit_code == 0, result.output
    assert "exact      text→video        4" in result.stdout
    assert "gone.mp4" in result.stderr
    content = json.loads(report.read_text())
    figures = {(one["method"], one["direction"]): one for one in content["figures"]}
    assert len(figures) == 5
    assert figures["exact", "text→video"]["queries"] == 4
    assert figures["exact", "text→video"]["r5"] == 1.0
    assert [Path(one["path"]).name for one in content["broken"]] == ["gone.mp4"]
    assert content["protocol"] == {"style": "service", "clips": 1, "crops": 1}
    assert [path.name for path in plots.iterdir()] == ["ranks.svg"]


def test_rows_that_cannot_be_used_are_told_and_never_scored(
    run: RunCommand, table: Path, tmp_path: Path
):
    """Beside good rows they are counted and listed; alone they end the run with the reason."""
    clip = next(table.parent.glob("*.mp4")).name
    rows = f"path,caption,start,end\n{clip},one,0,\n{clip},two,4,1\n{clip},,0,1\n"
    (tmp_path / "rows.csv").write_text(rows)
    report = tmp_path / "report.json"
    where = ("--videos", table.parent)
    result = run("evaluate", "retrieval", tmp_path / "rows.csv", *where, "--json", report)
    assert result.exit_code == 0, result.output
    assert "2 rows of the annotations cannot be used" in result.stderr
    assert [row["where"] for row in json.loads(report.read_text())["left_out"]] == [
        "line 3",
        "line 4",
    ]
    (tmp_path / "rows.csv").write_text(f"path,caption,start,end\n{clip},x,1,1\n")
    result = run("evaluate", "retrieval", tmp_path / "rows.csv", *where)
    assert result.exit_code == 1
    assert "line 2: it starts at 1 s" in " ".join(result.stderr.split())


def test_labels_with_a_byte_order_mark_or_in_another_encoding(
    run: RunCommand, table: Path, tmp_path: Path
):
    """The mark is no part of the first label; another encoding is one line, no traceback."""
    labels = tmp_path / "labels.txt"
    labels.write_bytes("gr\u00fcn".encode("latin-1"))
    result = run("evaluate", "classification", table, "--labels", labels)
    assert result.exit_code == 1
    assert "is not UTF-8 text" in " ".join(result.stderr.split())
    (tmp_path / "one.csv").write_text(f"path,label\n{next(table.parent.glob('*.mp4')).name},red\n")
    labels.write_bytes(b"\xef\xbb\xbfred\nblue\n")
    where = ("--videos", table.parent, "--labels", labels)
    result = run("evaluate", "classification", tmp_path / "one.csv", *where)
    assert result.exit_code == 0, result.output


def test_classification_averages_over_splits(run: RunCommand, table: Path, tmp_path: Path):
    """Two splits, here the same list, and their mean; a label that nobody knows is one line."""
    report = tmp_path / "report.json"
    splits = ("--split", "test1", "--split", "test2")
    result = run("evaluate", "classification", table, *splits, "--json", report)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == ["split", "test1", "test2", "mean"]
    assert lines[1][1:] == lines[2][1:]
    first, second = json.loads(report.read_text())["splits"]
    assert first["top_1"] == second["top_1"] >= 0.5
    (tmp_path / "labels.txt").write_text("running\n")
    result = run("evaluate", "classification", table, "--labels", tmp_path / "labels.txt")
    assert result.exit_code == 1
    assert "evaluation_invalid" in result.stderr


def test_a_split_is_written_for_training_and_for_evaluation(
    run: RunCommand, table: Path, tmp_path: Path
):
    """What it writes is annotations again, of videos in the same place."""
    result = run("evaluate", "split", table, "--into", tmp_path / "cut", "--share", "0.4")
    assert result.exit_code == 0, result.output
    assert "3 clips to train with, 2 to test" in result.stdout
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {
        "train.jsonl",
        "test.jsonl",
        "split.json",
    }
    result = run("evaluate", "split", table, "--into", tmp_path / "cut", "--share", "0")
    assert result.exit_code == 1
    assert "empty" in result.stderr
