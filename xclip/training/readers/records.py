"""Annotation records: the lines of a CSV, of JSON lines or of a JSON list, with where each stands.

A file whose lines cannot be told apart is refused, with the numbers of all lines that are wrong:
what a quote that is never closed swallows would otherwise be lost without a word.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xclip.text_file import read_lines, read_text
from xclip.training.errors import TrainingError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_LINES = (".jsonl", ".ndjson")
_NAMED = 5  # wrong lines in a message


@dataclass(frozen=True, slots=True)
class Record:
    """One line or object: where it stands, and its values by lower-case name."""

    where: str
    values: Mapping[str, Any]

    def first(self, names: Sequence[str]) -> Any:
        """The first of these values that is there and not empty."""
        found = (self.values.get(name) for name in names)
        return next((value for value in found if value not in (None, "")), None)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is laid out, for a message: its columns or keys, and what separates them."""

    columns: tuple[str, ...]
    separator: str | None = None

    def __str__(self) -> str:
        names = ", ".join(repr(name) for name in self.columns[:12]) or "nothing"
        if self.separator is None:
            return f"its first object has the keys {names}"
        return f"its first line, read as separated by {self.separator}, has the columns {names}"


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises TrainingError that names the line."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise TrainingError(f"line {error.lineno} of {path} is not JSON: {error.msg}") from None


def is_json(path: Path) -> bool:
    """Whether a file begins as JSON does, whatever it is called."""
    return read_text(path).lstrip()[:1] in ("{", "[")


def read_records(path: Path, names: Sequence[str]) -> tuple[Layout, list[Record]]:
    """Read CSV (any separator), JSON lines or a JSON list.

    names : columns that are looked for; they decide which separator it is

    Raises TrainingError, naming all lines that are no record.
    """
    start = read_text(path).lstrip()[:1]
    if start == "[":
        return _json_list(path)
    if start == "{" or path.suffix.lower() in _LINES:
        return _json_lines(path)
    return _csv(path, names)


def refuse(path: Path, wrong: Mapping[int, str] | Sequence[str]) -> TrainingError:
    """One error for all that is wrong in a file."""
    told = (
        [f"line {number}: {why}" for number, why in wrong.items()]
        if isinstance(wrong, Mapping)
        else list(wrong)
    )
    more = f"; and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return TrainingError(f"{path} cannot be read: {'; '.join(told[:_NAMED])}{more}")


def _json_list(path: Path) -> tuple[Layout, list[Record]]:
    content = read_json(path)
    found, wrong = [], []
    for index, value in enumerate(content if isinstance(content, list) else [content]):
        if isinstance(value, dict):
            found.append(_record(f"object {index + 1}", value))
        else:
            wrong.append(f"entry {index + 1} is no object but {_brief(value)}")
    if wrong:
        raise refuse(path, wrong)
    return _layout(found), found


def _json_lines(path: Path) -> tuple[Layout, list[Record]]:
    found: list[Record] = []
    wrong: dict[int, str] = {}
    for number, line in read_lines(path):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            wrong[number] = f"{error.msg} at column {error.colno}; a line holds one JSON object"
            continue
        if isinstance(value, dict):
            found.append(_record(f"line {number}", value))
        else:
            wrong[number] = f"it is no JSON object but {_brief(value)}"
    if wrong and not found and path.suffix.lower() not in _LINES:
        return _json_list(path)  # one object over several lines
    if wrong:
        raise refuse(path, wrong)
    return _layout(found), found


def _record(where: str, values: Mapping[str, Any]) -> Record:
    return Record(where, {str(name).strip().lower(): value for name, value in values.items()})


def _layout(records: Sequence[Record]) -> Layout:
    return Layout(tuple(records[0].values) if records else ())


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _csv(path: Path, names: Sequence[str]) -> tuple[Layout, list[Record]]:
    text = read_text(path)
    separator = _separator(text, names)
    lines = _csv_lines(path, text, separator)
    head = next(lines, None)
    columns = [] if head is None else [name.strip().lower() for name in head[1]]
    layout = Layout(tuple(columns), SEPARATORS[separator])
    if twice := [name for name, count in Counter(columns).items() if name and count > 1]:
        raise refuse(path, {1: f"the column {twice[0]!r} occurs twice"})
    found: list[Record] = []
    wrong: dict[int, str] = {}
    for number, fields in lines:
        if len(fields) != len(columns):
            wrong[number] = (
                f"{len(fields)} fields where the first line has {len(columns)}; a text that holds "
                f"one of the {SEPARATORS[separator]} needs quotes around it"
            )
        elif (swallowed := _swallowed(fields, separator)) is not None:
            wrong[number] = f"a quote is closed only behind {swallowed!r}, which looks like a line"
        else:
            found.append(Record(f"line {number}", dict(zip(columns, fields, strict=True))))
    if wrong:
        raise refuse(path, wrong)
    return layout, found


def _separator(text: str, names: Sequence[str]) -> str:
    """The one by which the first line holds most of the wanted columns, else most columns."""
    head = next((line for line in text.splitlines() if line.strip()), "")

    def columns(separator: str) -> tuple[int, int]:
        found = [name.strip().strip('"').strip().lower() for name in head.split(separator)]
        return len(set(found) & set(names)), len(found)

    return max(SEPARATORS, key=columns)


def _csv_lines(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that holds something, with the line's number."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        number = rows.line_num + 1
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            reason = str(error)
            if "end of data" in reason or "field limit" in reason:
                reason = "a quote that is opened is not closed"
            elif "expected after" in reason:
                reason = "text follows a closing quote; a quote in a text is written twice"
            raise refuse(path, {number: reason}) from None
        if any(field.strip() for field in fields):
            yield number, fields


def _swallowed(fields: Sequence[str], separator: str) -> str | None:
    """A line within a quoted field that could be a line of its own."""
    for field in fields:
        for line in field.splitlines()[1:]:
            if line.count(separator) >= len(fields) - 1 > 0:
                return line
    return None
