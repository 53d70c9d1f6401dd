"""Annotated clip: the record that all readers return, and the file that a name refers to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from xclip.video.formats import SUFFIXES

# Those that a file is looked for with, if only its name is known; each costs a look at the disk.
_SUFFIXES = (".mp4", ".avi", ".webm", ".mkv", ".mov", ".m4v", ".mpg", ".flv", ".wmv", ".3gp")


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
    """The file of a list that names files: as named, or what is there instead.

    That is one with a suffix where the list leaves it out, with another one where files were
    converted, or in a folder where the list was written with the backslashes of Windows.
    """
    plain = folder / name
    if is_file(plain):
        return plain
    for spelt in dict.fromkeys((name, name.replace("\\", "/"))):
        suffix = Path(spelt).suffix
        whole = [spelt, spelt.removesuffix(suffix)] if suffix.lower() in SUFFIXES else [spelt]
        found = next((p for p in (video_file(folder, s) for s in whole) if is_file(p)), None)
        if found is not None:
            return found
    return plain


def video_file(folder: Path, name: str) -> Path:
    """The file of that name, with whatever suffix it has; .mp4 where there is none yet."""
    plain = folder / name
    if plain.suffix.lower() in SUFFIXES or not plain.name:
        return plain
    found = (plain.with_name(plain.name + suffix) for suffix in _SUFFIXES)
    return next((p for p in found if is_file(p)), plain.with_name(plain.name + ".mp4"))
