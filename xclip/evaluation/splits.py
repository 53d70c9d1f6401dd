"""Splits: divides a list into training and test parts, and records what identifies each.

What is written are tables as `xclip.training.readers` reads them, and a record beside them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from xclip.evaluation.errors import EvaluationError
from xclip.training.readers.clips import AnnotatedClip

TRAIN_FILE, TEST_FILE, RECORD_FILE = "train.jsonl", "test.jsonl", "split.json"


@dataclass(frozen=True, slots=True)
class SplitRecord:
    """Where a split comes from, so that a figure can be traced to its clips.

    source : name of the annotations that were cut
    source_sha256, train_sha256, test_sha256 : `digest` of all clips and of both parts
    """

    source: str
    source_sha256: str
    test_share: float
    seed: int
    by_label: bool
    train_clips: int
    test_clips: int
    train_sha256: str
    test_sha256: str


def cut(
    clips: Sequence[AnnotatedClip], test_share: float, seed: int, *, by_label: bool
) -> tuple[list[AnnotatedClip], list[AnnotatedClip]]:
    """Cut a list in (train, test); a file is in one of them with all its clips.

    test_share : of the files, between 0 and 1
    by_label : the share holds within each label, as nearly as whole files can; a file counts for
        its first one

    Raises EvaluationError where one of the parts would be empty.
    """
    files: dict[Path, str] = {}
    for clip in clips:
        files.setdefault(clip.path, clip.text if by_label else "")
    groups: defaultdict[str, list[Path]] = defaultdict(list)
    for path, label in files.items():
        groups[label].append(path)
    random = np.random.default_rng(seed)
    test: set[Path] = set()
    for label in sorted(groups):
        paths = sorted(groups[label])
        count = round(len(paths) * test_share)
        test |= {paths[index] for index in random.permutation(len(paths))[:count]}
    parts = (
        [clip for clip in clips if clip.path not in test],
        [clip for clip in clips if clip.path in test],
    )
    if not all(parts):
        raise EvaluationError(
            f"a test share of {test_share} of {len(files)} files leaves one part empty"
        )
    return parts


def write_split(
    source: Path,
    videos: Path,
    clips: Sequence[AnnotatedClip],
    folder: Path,
    test_share: float,
    seed: int,
    *,
    by_label: bool,
) -> SplitRecord:
    """Cut the clips read from `source` and write both parts and the record into a folder.

    The paths in the tables are relative to `videos`, as those in the annotations are.
    """
    train, test = cut(clips, test_share, seed, by_label=by_label)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in ((TRAIN_FILE, train), (TEST_FILE, test)):
        (folder / name).write_text(_table(part, videos), encoding="utf-8")
    record = SplitRecord(
        source=source.name,
        source_sha256=digest(clips, videos),
        test_share=test_share,
        seed=seed,
        by_label=by_label,
        train_clips=len(train),
        test_clips=len(test),
        train_sha256=digest(train, videos),
        test_sha256=digest(test, videos),
    )
    text = json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n"
    (folder / RECORD_FILE).write_text(text, encoding="utf-8")
    return record


def digest(clips: Sequence[AnnotatedClip], videos: Path) -> str:
    """SHA-256, in hex, of what a list says: paths below `videos`, texts and times, in order.

    It does not depend on the format of the annotations, nor on where the videos are.
    """
    return hashlib.sha256(_table(clips, videos).encode()).hexdigest()


def _table(clips: Sequence[AnnotatedClip], videos: Path) -> str:
    """The clips as JSON lines."""
    lines = []
    for clip in clips:
        row: dict[str, object] = {"path": os.path.relpath(clip.path, videos), "caption": clip.text}
        if clip.start is not None:
            row["start"] = clip.start
        if clip.end is not None:
            row["end"] = clip.end
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines)
