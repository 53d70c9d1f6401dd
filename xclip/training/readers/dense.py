"""Dense caption readers (JSON): MSR-VTT with captions per file, ActivityNet with moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xclip.training.errors import TrainingError
from xclip.training.readers.clips import is_file, video_file
from xclip.training.readers.records import is_json, read_json
from xclip.training.readers.rows import LeftOut, Row
from xclip.training.readers.split_names import Splits, split_file
from xclip.training.readers.table import read_table


def read_msrvtt(annotations: Path, videos: Path, splits: Splits) -> Iterator[Row | LeftOut]:
    """`videodatainfo.json`, the same as a list of captions or of videos, or the 1k-A split's CSV.

    The files are already cut, so the times in it, which are the original's, are left alone.
    """
    content = read_json(annotations) if is_json(annotations) else None
    if not isinstance(content, dict):
        yield from read_table(annotations, videos, splits, times=False)
        return
    captions = next((key for key in ("sentences", "annotations") if key in content), None)
    if captions is None or not _objects(content[captions]):
        keys = ", ".join(repr(str(key)) for key in list(content)[:12])
        raise TrainingError(
            f"{annotations} has no list 'sentences' or 'annotations' of captions; its keys are "
            f"{keys or 'none'}"
        )
    split_of = {
        video.get("video_id"): video.get("split")
        for video in content.get("videos") or []
        if isinstance(video, dict)
    }
    wanted = {name for name, split in split_of.items() if splits.take(split)}
    for index, said in enumerate(content[captions]):
        name, where = said.get("video_id", said.get("image_id")), f"{captions}[{index}]"
        if split_of and name not in split_of:
            yield LeftOut(where, f"the list of videos does not hold its video {name!r}")
        elif not split_of or name in wanted:
            path = None if name in (None, "") else video_file(videos, str(name))
            yield Row(where, path, said.get("caption"))


def read_activitynet(annotations: Path, videos: Path, splits: Splits) -> Iterator[Row | LeftOut]:
    """`{split}.json` in the folder, or one file: captions of moments, or the class `database`."""
    content = read_json(file := split_file(annotations, "", splits.wanted, ".json"))
    if not isinstance(content, dict):
        raise TrainingError(f"{file} is no object of videos by their name")
    database = content.get("database", content)
    if not isinstance(database, dict) or not all(isinstance(v, dict) for v in database.values()):
        raise TrainingError(f"{file} is no object of videos by their name")
    for name, video in database.items():
        if splits.take(video.get("subset")):
            yield from _moments(name, _named(videos, name), video)


def _moments(name: str, path: Path, video: Mapping[str, Any]) -> Iterator[Row | LeftOut]:
    """A row of each moment; none of a video whose times and texts do not match."""
    if "annotations" in video:
        moments = video["annotations"]
        if not isinstance(moments, list):
            yield LeftOut(name, "its annotations are no list")
            return
        for index, moment in enumerate(moments):
            where = f"{name}[{index}]"
            if not isinstance(moment, dict):
                yield LeftOut(where, f"it is no object but {moment!r:.40}")
                continue
            text = moment.get("label", moment.get("sentence"))
            yield Row(where, path, text, interval=moment.get("segment"))
        return
    times, texts = video.get("timestamps"), video.get("sentences")
    if not isinstance(times, list) or not isinstance(texts, list):
        yield LeftOut(name, "it has no lists of timestamps and sentences")
        return
    if len(times) != len(texts):
        # it cannot be told which sentence is missing, so no pair of the video can be trusted
        yield LeftOut(name, f"it has {len(times)} timestamps and {len(texts)} sentences")
        return
    for index, (interval, text) in enumerate(zip(times, texts, strict=True)):
        # without one it would be the whole video, which is for a file without times to say
        yield Row(f"{name}[{index}]", path, text, interval=[] if interval is None else interval)


def _named(videos: Path, name: str) -> Path:
    """The file of a video; the class database leaves out the `v_` that files begin with."""
    plain = video_file(videos, name)
    prefixed = video_file(videos, f"v_{name}")
    return prefixed if not is_file(plain) and is_file(prefixed) else plain


def _objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)
