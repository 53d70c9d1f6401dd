"""Moment retrieval readers: Charades-STA's text lines and QVHighlights' JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xclip.text_file import read_lines
from xclip.training.errors import TrainingError
from xclip.training.readers.clips import video_file
from xclip.training.readers.records import read_records, refuse
from xclip.training.readers.rows import LeftOut, Row
from xclip.training.readers.split_names import Splits, split_file

_KEYS = ("vid", "query")


def read_charades_sta(annotations: Path, videos: Path, splits: Splits) -> Iterator[Row]:
    """`charades_sta_{split}.txt` in the folder, or one file: `AO8RW 0.0 6.9##a person reads.`"""
    file = split_file(annotations, "charades_sta_", splits.wanted, ".txt")
    wrong: dict[int, str] = {}
    for number, line in read_lines(file):
        interval, mark, text = line.partition("##")
        fields = interval.split()
        if not mark or len(fields) != 3:
            wrong[number] = "it is not of the form `id start end##caption`"
            continue
        if not wrong:
            path = video_file(videos, fields[0])
            yield Row(f"line {number}", path, text, fields[1], fields[2])
    if wrong:
        raise refuse(file, wrong)


def read_qvhighlights(annotations: Path, videos: Path, splits: Splits) -> Iterator[Row | LeftOut]:
    """`highlight_{split}_release.jsonl` in the folder, or one file: a row for each window."""
    file = split_file(annotations, "highlight_", splits.wanted, "_release.jsonl")
    layout, records = read_records(file, _KEYS)
    if lacking := layout.lacking(_KEYS):
        raise TrainingError(f"{file} has no key {' and no '.join(lacking)}: {layout}")
    for record in records:
        name = record.get("vid")
        path = None if name in (None, "") else video_file(videos, str(name))
        found = record.get("relevant_windows")
        if not isinstance(found, list) or not found:
            yield LeftOut(record.where, "it has no relevant_windows")
            continue
        for window in found:
            yield Row(record.where, path, record.get("query"), interval=window or [])
