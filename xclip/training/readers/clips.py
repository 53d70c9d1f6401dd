"""Annotated clip: the record that all readers return, and the file that a name refers to."""

from __future__ import annotations

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


def video_file(folder: Path, name: str) -> Path:
    """The file of that name, with whatever suffix it has; .mp4 where there is none yet."""
    plain = folder / name
    if plain.suffix.lower() in VIDEO_SUFFIXES:
        return plain
    found = (plain.with_name(plain.name + suffix) for suffix in VIDEO_SUFFIXES)
    return next((path for path in found if path.is_file()), plain.with_name(plain.name + ".mp4"))
