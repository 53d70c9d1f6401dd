"""Dense caption readers (JSON): MSR-VTT with captions per file, ActivityNet with moments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from xclip.training.readers.clips import AnnotatedClip, video_file


def read_msrvtt(annotations: Path, videos: Path, split: str) -> Iterator[AnnotatedClip]:
    """`videodatainfo`: `videos` with their split, `sentences` with their captions.

    The files are already cut, so the times in it, which are the original's, are left alone.
    """
    content = json.loads(annotations.read_text(encoding="utf-8"))
    wanted = {video["video_id"] for video in content["videos"] if video["split"] == split}
    files = {name: video_file(videos, name) for name in wanted}
    for sentence in content["sentences"]:
        if sentence["video_id"] in wanted:
            yield AnnotatedClip(files[sentence["video_id"]], sentence["caption"])


def read_activitynet(annotations: Path, videos: Path, split: str) -> Iterator[AnnotatedClip]:
    """`{split}.json` in the folder, or that file itself: timestamps and sentences of each video."""
    file = annotations / f"{split}.json" if annotations.is_dir() else annotations
    content = json.loads(file.read_text(encoding="utf-8"))
    for name, video in content.items():
        path = video_file(videos, name)
        for (start, end), sentence in zip(video["timestamps"], video["sentences"], strict=True):
            yield AnnotatedClip(path, sentence.strip(), float(start), float(end))
