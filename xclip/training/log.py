"""Training log: one line per step, and the files that could not be used."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from xclip.training.event_file import EventFile
from xclip.training.loop import Taken

COLUMNS = ("step", "loss", "rate", "gradient", "seconds")
EVENTS = "events"
UNUSED_COLUMNS = ("path", "reason")


class StepLog:
    """`steps.csv`, and the same for TensorBoard; a resumed run goes on after where it resumes."""

    def __init__(self, file: Path, done: int) -> None:
        kept: list[list[str]] = []
        if file.exists():
            with file.open(encoding="utf-8", newline="") as lines:
                kept = [row for row in list(csv.reader(lines))[1:] if row and int(row[0]) <= done]
        self._events = EventFile(file.parent / EVENTS / "train")
        self._file = file.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file)
        self._rows.writerows([COLUMNS, *kept])

    def add(self, step: int, taken: Taken, seconds: float) -> None:
        """Write a line at once, so that a run can be watched; steps count from 1."""
        values = (taken.loss, taken.rate, taken.gradient)
        self._rows.writerow([step, *(f"{value:.9g}" for value in values), f"{seconds:.3f}"])
        self._file.flush()
        self._events.add(step, dict(zip(COLUMNS[1:], (*values, seconds), strict=True)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_unused(file: Path, unused: Iterable[tuple[str, str]]) -> None:
    """`unused.csv`: files, or rows of the annotations, that could not be used, and why."""
    partial = file.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(UNUSED_COLUMNS)
        rows.writerows(unused)
    partial.replace(file)


def read_unused(file: Path) -> dict[str, str]:
    """What `unused.csv` lists, with the reasons; nothing where there is no such file."""
    if not file.exists():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    return {row[0]: row[1] for row in rows if len(row) == len(UNUSED_COLUMNS)}
