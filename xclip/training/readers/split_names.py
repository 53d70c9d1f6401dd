"""Split names: which rows belong to the split that was asked for, and which splits there are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from xclip.training.errors import TrainingError

# What the same split is called by different authors.
_SAME = (
    frozenset({"train", "training"}),
    frozenset({"val", "valid", "validate", "validation", "dev"}),
    frozenset({"test", "testing"}),
)


class Splits:
    """Tells rows of the wanted split from others, and counts what it has seen."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.seen: Counter[str] = Counter()

    def take(self, value: object) -> bool:
        """Whether a row with this split is wanted; a row without one always is."""
        name = "" if value is None else str(value).strip()
        if name:
            self.seen[name] += 1
        return not name or same_split(name, self.wanted)

    @property
    def known(self) -> str:
        """The splits seen so far with their sizes, for a message."""
        return ", ".join(f"{name!r} ({count})" for name, count in self.seen.most_common(8))


def same_split(one: str, other: str) -> bool:
    """Whether two names mean one split: `val`, `validate` and `validation` do."""
    first, second = one.strip().lower(), other.strip().lower()
    return first == second or any({first, second} <= names for names in _SAME)


def split_file(annotations: Path, before: str, wanted: str, after: str) -> Path:
    """The file of a split in a folder, `{before}{split}{after}`, or the one file that was named.

    A split may be called otherwise in the file's name. Raises TrainingError that lists the folder.
    """
    if not annotations.is_dir():
        return annotations
    names = sorted(path.name for path in annotations.iterdir() if path.is_file())
    name = f"{before}{wanted}{after}"
    if name in names:
        return annotations / name
    parts = ((one, one.removeprefix(before).removesuffix(after)) for one in names)
    found = [
        one for one, part in parts if one == f"{before}{part}{after}" and same_split(part, wanted)
    ]
    if len(found) != 1:
        there = ", ".join(names[:12]) or "no file"
        raise TrainingError(f"{annotations} holds no {name}; it holds {there}")
    return annotations / found[0]
