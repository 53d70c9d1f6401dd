"""Video list reader: lines `path number`, as the X-CLIP authors' and MMAction's lists are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from xclip.text_file import read_lines
from xclip.training.readers.clips import is_file, named_file
from xclip.training.readers.records import refuse
from xclip.training.readers.rows import Row
from xclip.training.readers.split_names import Splits, split_file

_LINE = re.compile(r"(.+?)(?:\s*[,;\t]\s*|\s+)(\d+)", re.ASCII)
_ANOTHER_NUMBER = re.compile(r".*[\s,;]\d+", re.ASCII)


def read_list(annotations: Path, videos: Path, splits: Splits) -> Iterator[Row]:
    """Each line's file and the number of its label, in the folder's `{split}.txt` or one file."""
    file = split_file(annotations, "", splits.wanted, ".txt")
    wrong: dict[int, str] = {}
    rows: list[Row] = []
    for number, line in read_lines(file):
        found = _LINE.fullmatch(line)
        if found is None:
            wrong[number] = "it is not of the form `path number`"
            continue
        path = named_file(videos, found[1].strip())
        if _ANOTHER_NUMBER.fullmatch(found[1]) and not is_file(path):
            # of several labels, or of a folder of frames and their count
            wrong[number] = "it has more than one number, and no file is called as all but the last"
            continue
        rows.append(Row(f"line {number}", path, found[2]))
    if wrong:
        raise refuse(file, wrong)
    yield from rows
