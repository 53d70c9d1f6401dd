"""Table reader: a folder of videos with a CSV with a header, JSON lines or a JSON list.

Columns: a file, a caption or label, and optionally times in seconds and a split, under any of the
names below. Rows of another split are left out; without that column all rows are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xclip.training.errors import TrainingError
from xclip.training.readers.clips import named_file, video_file
from xclip.training.readers.records import Layout, Record, read_records
from xclip.training.readers.rows import Row
from xclip.training.readers.split_names import Splits

PATHS = ("path", "video", "video_path", "file", "file_name", "filename", "file_path", "filepath")
IDS = ("video_id", "videoid", "image_id")
TEXTS = ("caption", "label", "sentence", "text", "description", "class", "category", "captions")
_STARTS = ("start", "start_time", "time_start", "start_s", "start_sec")
_ENDS = ("end", "end_time", "time_end", "end_s", "end_sec")
_SPLITS = ("split", "subset")
NAMES = (*PATHS, *IDS, *TEXTS, *_STARTS, *_ENDS, *_SPLITS)

# What only a file of another kind has: the hint that follows a refusal.
_KINDS = {
    "youtube_id": "kinetics",
    "sentences": "msrvtt",
    "database": "activitynet",
    "timestamps": "activitynet",
    "relevant_windows": "qvhighlights",
    "qid": "qvhighlights",
    "images": "msrvtt",
}


def read_table(
    annotations: Path, videos: Path, splits: Splits, *, times: bool = True
) -> Iterator[Row]:
    """Rows of a table; a list of captions makes a row of each.

    times : False where the files are cut already, so that the times are those of the original
    """
    layout, records = read_records(annotations, NAMES)
    _require(annotations, layout, records)
    for record in records:
        if not splits.take(record.first(_SPLITS)):
            continue
        path = _path(videos, record)
        start, end = (record.first(_STARTS), record.first(_ENDS)) if times else (None, None)
        said = record.first(TEXTS)
        for text in said if isinstance(said, list) and said else [said]:
            yield Row(record.where, path, text, start, end)


def _path(videos: Path, record: Record) -> Path | None:
    """The file as named, or the one that has an id for a name."""
    named, identity = record.first(PATHS), record.first(IDS)
    name = identity if named is None else named
    if isinstance(name, bool) or not isinstance(name, str | int):
        return None
    text = str(name).strip()
    return video_file(videos, text) if named is None else named_file(videos, text)


def _require(annotations: Path, layout: Layout, records: Sequence[Record]) -> None:
    """Raise TrainingError where no row has a file, or none a text: then it is another layout."""
    has = {name for record in records for name in record.values} | set(layout.columns)
    wanted = {
        "a file": (*PATHS, *IDS),
        "a caption or label": TEXTS,
    }
    lacking = [
        f"{what} ({', '.join(names)})" for what, names in wanted.items() if not has & set(names)
    ]
    if not lacking:
        return
    kind = next((kind for key, kind in _KINDS.items() if key in _all_keys(records, has)), None)
    hint = f"; it looks like kind {kind}" if kind else ""
    raise TrainingError(
        f"{annotations} has no column with {' nor with '.join(lacking)}: {layout}{hint}"
    )


def _all_keys(records: Sequence[Record], has: set[str]) -> set[str]:
    """The keys of the records, and of the objects in them."""
    inner = (value for record in records[:10] for value in record.values.values())
    return has | {str(key) for value in inner if isinstance(value, dict) for key in value}
