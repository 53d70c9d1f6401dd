"""HMDB-51 and UCF-101 reader: split files, and videos in a folder per label.

A split is named `train1` … `train3` and `test1` … `test3`; without a digit it is the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from xclip.text_file import read_lines
from xclip.training.errors import TrainingError
from xclip.training.readers.clips import named_file
from xclip.training.readers.rows import Row
from xclip.training.readers.split_names import Splits, same_split

_NEITHER, _TRAIN, _TEST = "0", "1", "2"  # in HMDB-51's lines
_UCF101_NAME = re.compile(r"v_(.+?)_g\d+_c\d+")


def read_hmdb51(annotations: Path, videos: Path, splits: Splits) -> Iterator[Row]:
    """`{label}_test_split{n}.txt` of lines `file.avi 1`; labels with spaces for underscores."""
    part, number = _part(splits.wanted)
    wanted = _TRAIN if part == "train" else _TEST
    files = sorted(annotations.glob(f"*_test_split{number}.txt"))
    if not files:
        raise TrainingError(f"{annotations} holds no file {{label}}_test_split{number}.txt")
    for file in files:
        label = file.name.removesuffix(f"_test_split{number}.txt")
        for at, line in read_lines(file):
            where = f"line {at} of {file.name}"
            fields = line.rsplit(maxsplit=1)
            if len(fields) != 2 or fields[1] not in (_NEITHER, _TRAIN, _TEST):
                raise TrainingError(f"{where} is not a file with a mark of 0, 1 or 2: {line!r}")
            name, mark = fields
            if mark == wanted:
                yield Row(where, named_file(videos / label, name), label.replace("_", " "))


def read_ucf101(annotations: Path, videos: Path, splits: Splits) -> Iterator[Row]:
    """`trainlist0{n}.txt` and `testlist0{n}.txt` of lines `Label/file.avi`, as labels are spelt.

    Of a line without a folder, the label is in the file's name: `v_Label_g01_c01.avi`.
    """
    part, number = _part(splits.wanted)
    listed = annotations / f"{part}list0{number}.txt" if annotations.is_dir() else annotations
    for at, line in read_lines(listed):
        name = re.sub(r"\s+\d+$", "", line)
        *folders, file = re.split(r"[/\\]", name)
        said = _UCF101_NAME.match(file)
        label = folders[-1] if folders else said and said[1]
        yield Row(f"line {at} of {listed.name}", named_file(videos, name), label)


def _part(split: str) -> tuple[str, int]:
    found = re.fullmatch(r"(train|training|test|testing)0?([123]?)", split)
    if found is None:
        raise TrainingError(f"{split!r} is not one of the splits train1 … train3, test1 … test3")
    return "train" if same_split(found[1], "train") else "test", int(found[2] or 1)
