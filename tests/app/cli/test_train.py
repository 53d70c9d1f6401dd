"""`xclip-search train`: from a configuration file to a checkpoint; mistakes are one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import build_cli
from xclip.encoders import load_encoder

CONFIG = """
[model]
source = "{checkpoint}"
[data]
kind = "table"
annotations = "table.csv"
videos = "."
[objective]
kind = "captions"
[run]
output = "out"
steps = 2
batch_size = 2
device = "cpu"
"""


@pytest.fixture
def config(tmp_path: Path, checkpoint: Path, make_clip) -> Path:
    for number in range(2):
        make_clip(f"{number}.mp4", seconds=1, seed=number)
    rows = ("0.mp4,a red square", "1.mp4,a blue square", "gone.mp4,a circle", "1.mp4,")
    table = "\n".join(("path,caption", *rows))
    (tmp_path / "table.csv").write_text(table)
    start = Path(shutil.copytree(checkpoint, tmp_path / "start"))
    (start / "bank.txt").write_text("a dog\na cat\n")
    file = tmp_path / "run.toml"
    file.write_text(CONFIG.format(checkpoint=start))
    return file


def test_train(config: Path) -> None:
    """Says where the checkpoint is and how many files were not used; the service can load it.

    The bank of the first weights is the trained ones', and what is left to do is said.
    """
    result = CliRunner().invoke(build_cli(), ["train", str(config)])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "2 steps, last loss" in said
    assert "1 files were not used: 1 missing, 0 broken" in said
    assert "1 rows of the annotations were not used, the first for this: line 5: it has" in said
    assert "xclip-search calibrate" in said
    trained = load_encoder(str(config.parent / "out" / "checkpoint"), device="cpu")
    assert trained.num_frames == 4
    assert trained.bank == ("a dog", "a cat")


def test_a_mistake_in_the_file_is_one_line(config: Path) -> None:
    """With its key and a code; nothing is trained."""
    config.write_text(config.read_text().replace("steps = 2", "stages = 2"))
    result = CliRunner().invoke(build_cli(), ["train", str(config)])
    assert result.exit_code == 1
    assert "run.stages is unknown" in " ".join(result.output.split())
    assert "training_invalid" in result.output
    assert not (config.parent / "out").exists()
