"""Annotated clip: the record that all readers return, and the file that a name refers to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

VIDEO_SUFFIXES = (".mp4", ".avi", ".webm", ".mkv", ".mov", ".m4v")


@dataclass(frozen=True, slots=True)
class AnnotatedClip:
    """An interval of a video file in seconds, None for its own ends, and its caption or label."""

    path: Path
    text: str
    start: float | None = None
    end: float | None = None


def is_file(path: Path) -> bool:
    """Whether there is such a file; Path.is_file raises for a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113


def named_file(folder: Path, name: str) -> Path:
    """The file of a list that names files: as named, or with a suffix where only that is there."""
    plain, suffixed = folder / name, video_file(folder, name)
    return suffixed if not is_file(plain) and is_file(suffixed) else plain


def video_file(folder: Path, name: str) -> Path:
    """The file of that name, with whatever suffix it has; .mp4 where there is none yet."""
    plain = folder / name
    if plain.suffix.lower() in VIDEO_SUFFIXES or not plain.name:
        return plain
    found = (plain.with_name(plain.name + suffix) for suffix in VIDEO_SUFFIXES)
    return next((p for p in found if is_file(p)), plain.with_name(plain.name + ".mp4"))
