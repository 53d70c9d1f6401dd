"""The configuration file: what it may say, and how it says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xclip.training.config import ValidationConfig, read_config
from xclip.training.errors import TrainingError

LEAST = """
[model]
source = "motion-tiny"
[data]
kind = "table"
annotations = "table.csv"
videos = "clips"
[objective]
kind = "captions"
[run]
output = "out"
steps = 10
batch_size = 4
"""


def read(folder: Path, text: str, name: str = "run.toml"):
    (folder / name).write_text(text)
    return read_config(folder / name)


def test_what_is_left_out_is_the_papers(tmp_path: Path) -> None:
    """A frozen text tower, 8e-6, ten times that for new parts; paths relative to the file."""
    config = read(tmp_path, LEAST)
    assert config.model.text == "frozen"
    assert (config.optimiser.rate, config.optimiser.new_parts) == (8e-6, 10.0)
    assert config.data.videos == tmp_path / "clips"
    assert config.run.output == tmp_path / "out"


def test_json_says_the_same(tmp_path: Path) -> None:
    """Both formats give equal values."""
    values = {
        "model": {"source": "motion-tiny"},
        "data": {"kind": "table", "annotations": "table.csv", "videos": "clips"},
        "objective": {"kind": "captions"},
        "run": {"output": "out", "steps": 10, "batch_size": 4},
    }
    assert read(tmp_path, json.dumps(values), "run.json") == read(tmp_path, LEAST)


def test_a_table_of_validation_is_read(tmp_path: Path) -> None:
    """It was refused in every file, and only code could ask for it."""
    more = '[validation]\nevery = 5\nannotations = "val.csv"\n'
    validation = read(tmp_path, LEAST + more).validation
    assert validation == ValidationConfig(annotations=tmp_path / "val.csv", every=5)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell reads the file, so a folder called ~ would be made."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = read(tmp_path, LEAST.replace('"clips"', '"~/clips"').replace('"out"', '"~/out"'))
    assert config.data.videos == tmp_path / "home" / "clips"
    assert config.run.output == tmp_path / "home" / "out"


@pytest.mark.parametrize("name", ["run.TOML", "run.yaml", "run"])
def test_the_suffix_says_what_a_file_holds(tmp_path: Path, name: str) -> None:
    """In any case; another one is refused in words, and not as broken JSON."""
    if name == "run.TOML":
        assert read(tmp_path, LEAST, name) == read(tmp_path, LEAST)
    else:
        with pytest.raises(TrainingError, match=r"must be called \.toml or \.json"):
            read(tmp_path, LEAST, name)


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    """Python gives up on it with an error of its own."""
    with pytest.raises(TrainingError, match="cannot be read"):
        read(tmp_path, "[" * 100_000, "run.json")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("steps = 10", "steps = 10\nspeed = 3", "run.speed is unknown"),
        ("steps = 10", "", "run.steps is missing"),
        ("steps = 10", 'steps = "ten"', "run.steps must be of type int"),
        ("steps = 10", "steps = true", "run.steps must be of type int"),
        ("steps = 10", "steps = 0", "at least 1"),
        ('kind = "captions"', 'kind = "poems"', "objective.kind must be one of captions, labels"),
        ("[run]", "[optimiser]\nrate = nan\n[run]", "optimiser.rate must be a finite number"),
        ("[run]", "[optimiser]\nclip_norm = inf\n[run]", "clip_norm must be a finite number"),
        ("[run]", f"[optimiser]\nrate = 1{'0' * 400}\n[run]", "rate must be a finite number"),
        ("[run]", "[augment]\nmixup = 0.8\n[run]", "mixup and cutmix need labels"),
        ("[run]", "[augment]\nflip = 1.5\n[run]", "between 0 and 1"),
        ("batch_size = 4", "batch_size = 1", "batch of at least 2"),
        ("[model]", "[model", "cannot be read"),
        ("steps = 10", "steps = 10\nseed = -1", "seed is at least 0"),
        ("steps = 10", "steps = 10\ndecode_s = 0", "decode_s is above 0"),
        ("[data]", "num_frames = 0\n[data]", "num_frames are at least 1"),
        ("[run]", "[optimiser]\nnew_parts = -1\n[run]", "new_parts .* not negative"),
        ("[run]", "[validation]\nevery = 0\n[run]", "validation.every is at least 1"),
        ("[run]", "[validation]\nevry = 5\n[run]", "validation.evry is unknown"),
        ('videos = "clips"', 'videos = ""', "data.videos must be a path"),
        ('videos = "clips"', 'videos = "~nobody-here/x"', "no such home folder"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """The key and what it should be."""
    with pytest.raises(TrainingError, match=complaint):
        read(tmp_path, LEAST.replace(old, new))
