"""Annotation rows: one check of what every reader has read, the same in training and evaluation.

A row that cannot be used is left out and named: published annotations hold captions that are empty
and moments that end before they begin, and those who report figures leave these out too.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from xclip.training.readers.clips import AnnotatedClip

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_HALF = re.compile("[\ud800-\udfff]")  # of a pair that was cut, which no file can be written with
_UNIT = re.compile(r"(?<=[\d.]) ?(s|sec|seconds?)$", re.ASCII)
_CLOCK = re.compile(r"(?:(\d+):(?=[0-5]?\d:))?(\d+):([0-5]?\d(?:[.,]\d*)?)", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """What one annotation says, unchecked.

    where : its line, or its keys in a JSON file
    path : None where the row names no file
    start, end : seconds as numbers or text, or clock times h:mm:ss; None or "" for the file's own
    interval : both in one value, in their place
    """

    where: str
    path: Path | None
    text: object
    start: object = None
    end: object = None
    interval: object = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that no clip was made of: where it stands and why."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class RowError(ValueError):
    """Why a row cannot be used."""


def clip_of(row: Row) -> AnnotatedClip:
    """The clip that a row describes.

    Raises RowError for no path, no text, and times that are not finite, negative or not in order.
    """
    if row.path is None:
        raise RowError("it names no file")
    try:
        if b"\0" in os.fsencode(row.path):
            raise RowError("the name of its file holds a NUL")
    except UnicodeEncodeError:
        raise RowError("the name of its file holds half a character") from None
    first, last = (row.start, row.end) if row.interval is None else _pair(row.interval)
    text, start, end = text_of(row.text), seconds("start", first), seconds("end", last)
    if text is None:
        raise RowError("it has no caption or label")
    if _HALF.search(text):
        raise RowError("its caption or label holds half a character")
    if end is not None and not (start or 0.0) < end:
        raise RowError(f"it starts at {start or 0.0:g} s, which is not before its end at {end:g} s")
    return AnnotatedClip(row.path, text, start, end)


def text_of(value: object) -> str | None:
    """A caption or label: text without blanks around it, or a whole number; None if it is empty.

    A whole number may be written 3.0, as tables with empty cells are saved.

    Raises RowError for anything else.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, str):
        raise RowError(f"its caption or label is no text but {value!r}")
    return value.strip() or None


def seconds(name: str, value: object) -> float | None:
    """A time of a row; None where it is left open. Raises RowError."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    found = _number(value)
    if found is None:
        raise RowError(f"its {name} {value!r} is neither a number of seconds nor a time h:mm:ss")
    if not math.isfinite(found):
        raise RowError(f"its {name} {value!r} is not finite")
    if found < 0:
        raise RowError(f"its {name} {value!r} is negative")
    return found


def _pair(interval: object) -> tuple[object, object]:
    if isinstance(interval, list) and len(interval) == 2:
        start, end = interval
        if not isinstance(start, list) and not isinstance(end, list):
            return start, end
    raise RowError(f"its times {interval!r:.80} are no pair of a start and an end")


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if not isinstance(value, str):
        return None
    text = _UNIT.sub("", value.strip())
    if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return float(text.replace(",", "."))
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, rest = clock.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))
    return None
