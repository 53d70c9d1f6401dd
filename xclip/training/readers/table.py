"""Table reader: a folder of videos with a CSV with a header, JSON lines or a JSON list.

Columns: a file, a caption or label, and optionally times in seconds and a split, under any of the
names below. Rows of another split are left out; without that column all rows are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from xclip.training.errors import TrainingError
from xclip.training.readers.clips import is_file, named_file, video_file
from xclip.training.readers.records import Layout, Record, plain_name, read_records
from xclip.training.readers.rows import LeftOut, Row, RowError
from xclip.training.readers.split_names import Splits

# Case, blanks, hyphens and underscores of a name do not matter.
PATHS = (
    *("path", "video", "video_path", "file", "file_name", "file_path"),
    *("clip", "clip_path", "video_file", "video_name"),
)
IDS = ("video_id", "image_id", "clip_id", "clip_name", "id")
TEXTS = (
    *("caption", "label", "sentence", "text", "description", "class", "category", "captions"),
    *("class_name", "action", "tag", "narration", "en_cap"),
)
_STARTS = (
    *("start", "start_time", "time_start", "start_s", "start_sec", "start_seconds"),
    *("start_timestamp", "t_start", "begin", "begin_time", "onset"),
)
_ENDS = (
    *("end", "end_time", "time_end", "end_s", "end_sec", "end_seconds"),
    *("end_timestamp", "stop_timestamp", "t_end", "stop", "stop_time", "finish"),
)
_INTERVALS = ("timestamp", "timestamps", "segment", "interval", "window", "span", "times")
_SPLITS = ("split", "subset", "data_split", "partition", "set")
NAMES = (*PATHS, *IDS, *TEXTS, *_STARTS, *_ENDS, *_INTERVALS, *_SPLITS)

# A column whose name holds one of these says where a moment is, in whatever unit.
_STARTING = frozenset({"start", "begin", "onset"})
_ENDING = frozenset({"end", "stop", "finish"})
_WORD = re.compile(r"[a-z]+")

# What only a file of another kind has: the hint that follows a refusal.
_KINDS = {
    "youtube_id": "kinetics",
    "database": "activitynet",
    "timestamps": "activitynet",
    "sentences": "msrvtt",
    "relevant_windows": "qvhighlights",
    "qid": "qvhighlights",
    "images": "msrvtt",
}


def read_table(
    annotations: Path, videos: Path, splits: Splits, *, times: bool = True
) -> Iterator[Row | LeftOut]:
    """Rows of a table; a list of captions makes a row of each.

    times : False where the files are cut already, so that the times are those of the original
    """
    layout, records = read_records(annotations, NAMES)
    _require(annotations, layout, records)
    if times:
        _refuse_other_times(annotations, layout)
    for record in records:
        if not splits.take(record.first(_SPLITS)):
            continue
        try:
            path, is_cut = _path(videos, record)
        except RowError as error:
            yield LeftOut(record.where, str(error))
            continue
        start, end, interval = _times(record) if times and not is_cut else (None, None, None)
        said = record.first(TEXTS)
        for text in said if isinstance(said, list) and said else [said]:
            yield Row(record.where, path, text, start, end, interval)


def _path(videos: Path, record: Record) -> tuple[Path | None, bool]:
    """The file as named, or the one that has an id for a name; whether it is the moment alone.

    MSVD's files, for one, are called `{id}_{start}_{end}`. Raises RowError for what is no name.
    """
    named, identity = record.first(PATHS), record.first(IDS)
    name = identity if named is None else named
    if name is None:
        return None, False
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise RowError(f"its file is no text but {name!r:.80}")
    text = str(name).strip()
    if named is not None:
        return named_file(videos, text), False
    whole = video_file(videos, text)
    start, end = record.first(_STARTS), record.first(_ENDS)
    if start is not None and end is not None and not is_file(whole):
        cut = video_file(videos, f"{text}_{start}_{end}")
        if is_file(cut):
            return cut, True
    return whole, False


def _times(record: Record) -> tuple[object, object, object]:
    """Start, end, and a pair of both in one column."""
    start, end, both = (record.first(names) for names in (_STARTS, _ENDS, _INTERVALS))
    # what is no list may be the time at which a row was written
    is_pair = start is None and end is None and isinstance(both, list)
    return start, end, both if is_pair else None


def _refuse_other_times(annotations: Path, layout: Layout) -> None:
    """Raise TrainingError for times under a name that is not read: clips would be whole files."""
    known = set(map(plain_name, NAMES))
    for words, names in ((_STARTING, _STARTS), (_ENDING, _ENDS)):
        if len(layout.lacking(names)) < len(names):
            continue
        for column in layout.columns:
            if words & set(_WORD.findall(column)) and plain_name(column) not in known:
                raise TrainingError(
                    f"{annotations} has the column {column!r}, which is not read; times in seconds "
                    f"or as h:mm:ss are called {', '.join(names)}. Rename it, or take it out"
                )


def _require(annotations: Path, layout: Layout, records: Sequence[Record]) -> None:
    """Raise TrainingError where no row has a file, or none a text: then it is another layout."""
    has = {name for record in records for name in record.values}
    has |= set(map(plain_name, layout.columns))
    wanted = {
        "a file": (*PATHS, *IDS),
        "a caption or label": TEXTS,
    }
    lacking = [
        f"{what} ({', '.join(names)})"
        for what, names in wanted.items()
        if not has & set(map(plain_name, names))
    ]
    if not lacking:
        return
    keys = _all_keys(records, has)
    kind = next((kind for key, kind in _KINDS.items() if plain_name(key) in keys), None)
    hint = f"; it looks like kind {kind}" if kind else ""
    raise TrainingError(
        f"{annotations} has no column with {' nor with '.join(lacking)}: {layout}{hint}"
    )


def _all_keys(records: Sequence[Record], has: set[str]) -> set[str]:
    """The keys of the records, and of the objects in them."""
    inner = (value for record in records[:10] for value in record.values.values())
    return has | {plain_name(key) for value in inner if isinstance(value, dict) for key in value}
