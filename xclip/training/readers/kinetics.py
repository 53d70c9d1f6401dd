"""Kinetics reader: CSV with label, youtube_id, time_start, time_end, split; or the JSON beside it.

Files are what its downloaders leave: already cut to the ten seconds, called `{id}_{start}_{end}`
with six digits each, or `{id}` alone, in the folder or in one named after the label or the split.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xclip.training.errors import TrainingError
from xclip.training.readers.clips import is_file, video_file
from xclip.training.readers.records import Record, is_json, read_json, read_records
from xclip.training.readers.rows import Row, RowError, seconds, text_of
from xclip.training.readers.split_names import Splits

_COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")


def read_kinetics(annotations: Path, videos: Path, splits: Splits) -> Iterator[Row]:
    """Rows of a split; Kinetics calls its validation split `val` or `validate`."""
    for record in _records(annotations):
        if splits.take(record.get("split")):
            yield Row(record.where, _find(videos, record), record.get("label"))


def _records(annotations: Path) -> Iterator[Record]:
    if is_json(annotations):
        content = read_json(annotations)
        if not isinstance(content, dict):
            raise TrainingError(f"{annotations} is no object of Kinetics' clips by their id")
        for name, clip in content.items():
            known = clip.get("annotations") if isinstance(clip, dict) else None
            if not isinstance(known, dict):
                raise TrainingError(f"{annotations} has no annotations of the clip {name!r}")
            start, end = known.get("segment") or (None, None)
            values = (known.get("label"), name, start, end, clip.get("subset"))
            yield Record.of(name, dict(zip(_COLUMNS, values, strict=True)))
        return
    layout, records = read_records(annotations, _COLUMNS)
    if lacking := layout.lacking(_COLUMNS[:2]):
        raise TrainingError(f"{annotations} has no column {' and no '.join(lacking)}: {layout}")
    yield from records


def _find(videos: Path, record: Record) -> Path | None:
    identity = str(record.get("youtube_id") or "").strip()
    if not identity:
        return None
    names = [identity]
    if interval := _interval(record):
        names.insert(0, f"{identity}_{interval[0]:06d}_{interval[1]:06d}")
    folders = [videos]
    if label := _text(record.get("label")):
        folders += [videos / label, videos / label.replace(" ", "_")]
    if split := _text(record.get("split")):
        folders += [videos / split, *([videos / split / label] if label else [])]
    candidates = [video_file(folder, name) for name in names for folder in folders]
    return next((path for path in candidates if is_file(path)), candidates[0])


def _interval(record: Record) -> tuple[int, int] | None:
    """The seconds in the file's name; None where the row has none that could be in a name."""
    try:
        start, end = (seconds(name, record.get(name)) for name in ("time_start", "time_end"))
    except RowError:
        return None
    return None if start is None or end is None else (int(start), int(end))


def _text(value: object) -> str | None:
    try:
        return text_of(value)
    except RowError:
        return None
