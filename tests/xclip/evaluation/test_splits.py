"""Splits: drawn once, recorded, and read back by the training's readers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xclip.evaluation.errors import EvaluationError
from xclip.evaluation.splits import cut, digest, write_split
from xclip.training.readers import read_clips
from xclip.training.readers.clips import AnnotatedClip


def clips(folder: Path) -> list[AnnotatedClip]:
    """Thirty files of three labels, two clips each."""
    return [
        AnnotatedClip(folder / f"{number}.mp4", f"label {number % 3}", start, start + 2.0)
        for number in range(30)
        for start in (0.0, 2.0)
    ]


def test_no_file_is_in_both_parts_and_every_clip_in_one():
    """The same seed cuts the same, another one differently."""
    listed = clips(Path("videos"))
    train, test = cut(listed, 0.2, 1, by_label=False)
    assert not {clip.path for clip in train} & {clip.path for clip in test}
    assert sorted(map(str, train + test)) == sorted(map(str, listed))
    assert len(test) == 12
    assert cut(listed, 0.2, 1, by_label=False) == (train, test)
    assert cut(listed, 0.2, 2, by_label=False) != (train, test)


def test_by_label_every_label_keeps_its_share():
    """A fifth of ten files each are two files with two clips each."""
    _, test = cut(clips(Path("videos")), 0.2, 3, by_label=True)
    assert sorted(clip.text for clip in test) == [f"label {n}" for n in range(3) for _ in range(4)]


def test_a_part_without_clips_is_refused():
    """There would be nothing to train with, or nothing to measure."""
    for share in (0.0, 1.0):
        with pytest.raises(EvaluationError, match="empty"):
            cut(clips(Path("videos")), share, 0, by_label=False)


def test_what_is_written_reads_back_and_is_recorded(tmp_path: Path):
    """Paths stay relative to the videos, so the digests hold wherever those are moved."""
    videos = tmp_path / "videos"
    listed = clips(videos)
    record = write_split(
        tmp_path / "all.csv", videos, listed, tmp_path / "split", 0.2, 1, by_label=False
    )
    train, test = cut(listed, 0.2, 1, by_label=False)
    assert read_clips("table", tmp_path / "split" / "train.jsonl", videos, "train") == train
    assert read_clips("table", tmp_path / "split" / "test.jsonl", videos, "test") == test
    written = json.loads((tmp_path / "split" / "split.json").read_text())
    assert written["seed"] == 1
    assert written["test_sha256"] == record.test_sha256 == digest(test, videos)
    assert digest(clips(Path("elsewhere")), Path("elsewhere")) == record.source_sha256
