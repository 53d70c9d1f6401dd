"""HMDB-51 and UCF-101 reader: split files, and videos in a folder per label.

A split is named `train1` … `train3` and `test1` … `test3`; without a digit it is the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from xclip.training.errors import TrainingError
from xclip.training.readers.clips import AnnotatedClip

_TRAIN, _TEST = "1", "2"  # in HMDB-51's lines; 0 belongs to neither


def read_hmdb51(annotations: Path, videos: Path, split: str) -> Iterator[AnnotatedClip]:
    """`{label}_test_split{n}.txt` of lines `file.avi 1`; labels with spaces for underscores."""
    part, number = _part(split)
    wanted = _TRAIN if part == "train" else _TEST
    for file in sorted(annotations.glob(f"*_test_split{number}.txt")):
        label = file.name.removesuffix(f"_test_split{number}.txt")
        for line in file.read_text(encoding="utf-8").splitlines():
            name, _, mark = line.strip().rpartition(" ")
            if mark == wanted:
                yield AnnotatedClip(videos / label / name.strip(), label.replace("_", " "))


def read_ucf101(annotations: Path, videos: Path, split: str) -> Iterator[AnnotatedClip]:
    """`trainlist0{n}.txt` and `testlist0{n}.txt` of lines `Label/file.avi`, as labels are spelt."""
    part, number = _part(split)
    listed = annotations / f"{part}list0{number}.txt"
    for line in listed.read_text(encoding="utf-8").splitlines():
        if line.strip():
            name = re.sub(r"\s+\d+$", "", line.strip())
            yield AnnotatedClip(videos / name, name.split("/")[0])


def _part(split: str) -> tuple[str, int]:
    found = re.fullmatch(r"(train|test)([123]?)", split)
    if found is None:
        raise TrainingError(f"{split!r} is not one of the splits train1 … train3, test1 … test3")
    return found[1], int(found[2] or 1)
