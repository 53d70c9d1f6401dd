"""Table reader: a folder of videos with a CSV with a header, or JSON lines.

Columns: `path`, `caption` or `label`, and optionally `start`, `end` (seconds) and `split`. Lines of
another split are left out; without that column all lines are read.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xclip.training.errors import TrainingError
from xclip.training.readers.clips import AnnotatedClip


def read_table(annotations: Path, videos: Path, split: str) -> Iterator[AnnotatedClip]:
    """Clips of a .jsonl file, else of a CSV."""
    for number, row in _rows(annotations):
        if row.get("split") not in (None, "", split):
            continue
        text = row.get("caption") or row.get("label")
        if not row.get("path") or not isinstance(text, str):
            raise TrainingError(
                f"line {number} of {annotations} lacks a path, or a caption or label"
            )
        yield AnnotatedClip(
            videos / row["path"], text, _seconds(row, "start"), _seconds(row, "end")
        )


def _rows(annotations: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with annotations.open(encoding="utf-8", newline="") as lines:
        if annotations.suffix == ".jsonl":
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, json.loads(line)
        else:
            yield from enumerate(csv.DictReader(lines), 2)


def _seconds(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    return None if value in (None, "") else float(str(value))
