"""Kinetics reader: CSV with label, youtube_id, time_start, time_end, split.

Files are what its downloaders leave: already cut to the ten seconds, called `{id}_{start}_{end}`
with six digits each, or `{id}` alone, in the folder or in one named after the label or the split.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from xclip.training.readers.clips import AnnotatedClip, video_file


def read_kinetics(annotations: Path, videos: Path, split: str) -> Iterator[AnnotatedClip]:
    """Clips of a split; Kinetics calls its validation split `val` or `validate`."""
    with annotations.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row.get("split") in (None, "", split):
                yield AnnotatedClip(_find(videos, row), row["label"])


def _find(videos: Path, row: dict[str, str]) -> Path:
    identity = row["youtube_id"]
    names = [identity]
    if row.get("time_start"):
        names.insert(0, f"{identity}_{int(row['time_start']):06d}_{int(row['time_end']):06d}")
    folders = [videos, videos / row["label"], videos / row["label"].replace(" ", "_")]
    if row.get("split"):
        folders += [videos / row["split"], videos / row["split"] / row["label"]]
    candidates = [video_file(folder, name) for name in names for folder in folders]
    return next((path for path in candidates if path.is_file()), candidates[0])
