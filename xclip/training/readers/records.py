"""Annotation records: the lines of a CSV, of JSON lines or of a JSON list, with where each stands.

A file whose lines cannot be told apart is refused, with the numbers of all lines that are wrong:
what a quote that is never closed swallows would otherwise be lost without a word.
"""

from __future__ import annotations

import csv
import io
import json
import re
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
_LINE_ENDS = re.compile(r"\r\n|\r|\n")  # str.splitlines cuts at characters that texts may hold
_FILE_NAME = re.compile(r"\S+\.\w{2,4}")
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?[ \t]*(\r\n|\r|\n)", re.IGNORECASE)


def plain_name(name: object) -> str:
    """A column's name by which spellings are one: `Start Time`, `start_time` and `startTime`."""
    text = str(name).strip().lower()
    return "".join(letter for letter in text if letter.isalnum()) or text


@dataclass(frozen=True, slots=True)
class Record:
    """One line or object: where it stands, and its values by `plain_name`."""

    where: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, where: str, values: Mapping[str, Any]) -> Record:
        """The record of an object as it was read."""
        return cls(where, {plain_name(name): value for name, value in values.items()})

    def get(self, name: str) -> Any:
        """The value of that name, None without one."""
        return self.values.get(plain_name(name))

    def first(self, names: Sequence[str]) -> Any:
        """The first of these values that is there and not empty."""
        found = (self.get(name) for name in names)
        return next((value for value in found if value not in (None, "")), None)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is laid out, for a message: its columns or keys, and what separates them."""

    columns: tuple[str, ...]
    separator: str | None = None

    def lacking(self, names: Sequence[str]) -> list[str]:
        """Those of the names that no column has."""
        known = {plain_name(column) for column in self.columns}
        return [name for name in names if plain_name(name) not in known]

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
        return _listed(read_json(path), path)
    if start == "{" or path.suffix.lower() in _LINES:
        layout, found = _json_lines(path)
        inner = _wrapped(found, names)
        return (layout, found) if inner is None else _listed(inner, path)
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


def _listed(content: object, path: Path) -> tuple[Layout, list[Record]]:
    found, wrong = [], []
    entries = content if isinstance(content, list) else [content]
    for index, value in enumerate(entries):
        if isinstance(value, dict):
            found.append(Record.of(f"object {index + 1}", value))
        else:
            wrong.append(f"entry {index + 1} is no object but {_brief(value)}")
    if wrong:
        raise refuse(path, wrong)
    return _layout(next((value for value in entries if isinstance(value, dict)), {})), found


def _wrapped(records: Sequence[Record], names: Sequence[str]) -> list[object] | None:
    """The list of objects that is all that a JSON object holds beside facts about it."""
    if len(records) != 1 or records[0].values.keys() & {plain_name(name) for name in names}:
        return None
    lists = [
        value
        for value in records[0].values.values()
        if isinstance(value, list) and value and isinstance(value[0], dict)
    ]
    return lists[0] if len(lists) == 1 else None


def _json_lines(path: Path) -> tuple[Layout, list[Record]]:
    found: list[Record] = []
    wrong: dict[int, str] = {}
    first: Mapping[str, Any] = {}
    for number, line in read_lines(path):
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            wrong[number] = f"{error.msg} at column {error.colno}; a line holds one JSON object"
            continue
        if isinstance(value, dict):
            found.append(Record.of(f"line {number}", value))
            first = first or value
        else:
            wrong[number] = f"it is no JSON object but {_brief(value)}"
    if wrong and not found and path.suffix.lower() not in _LINES:
        return _listed(read_json(path), path)  # one object over several lines
    if wrong:
        raise refuse(path, wrong)
    return _layout(first), found


def _layout(first: Mapping[str, Any]) -> Layout:
    return Layout(tuple(str(name).strip().lower() for name in first))


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _csv(path: Path, names: Sequence[str]) -> tuple[Layout, list[Record]]:
    separator, before, text = _separator(read_text(path), names)
    lines = _csv_lines(path, text, separator, before)
    head = next(lines, None)
    columns = [] if head is None else [name.strip().lower() for name in head[1]]
    layout = Layout(tuple(columns), SEPARATORS[separator])
    counts = Counter(map(plain_name, columns))
    if twice := [name for name in names if counts[plain_name(name)] > 1]:
        raise refuse(path, {1 + before: f"the column {twice[0]!r} occurs twice"})
    found: list[Record] = []
    wrong: dict[int, str] = {}
    for number, all_fields in lines:
        fields = _without_empty_ends(all_fields, len(columns))
        if len(fields) != len(columns):
            wrong[number] = (
                f"{len(fields)} fields where the first line has {len(columns)}; "
                f"{_why_uneven(fields, columns, separator)}"
            )
        elif (swallowed := _swallowed(fields, separator)) is not None:
            wrong[number] = f"a quote is closed only behind {swallowed!r}, which looks like a line"
        else:
            found.append(Record.of(f"line {number}", dict(zip(columns, fields, strict=True))))
    if wrong:
        raise refuse(path, wrong)
    return layout, found


def _separator(text: str, names: Sequence[str]) -> tuple[str, int, str]:
    """What separates the columns, the lines before their heads (0 or 1), and the rest.

    It is what Excel wrote into a line of its own, `sep=;`, else that by which the first line holds
    most of the wanted columns, else most columns.
    """
    if (said := _SEPARATOR_LINE.match(text)) and said[1] in SEPARATORS:
        return said[1], 1, text[said.end() :]
    head = next((line for line in _LINE_ENDS.split(text) if line.strip()), "")
    wanted = {plain_name(name) for name in names}

    def columns(separator: str) -> tuple[int, int]:
        found = [plain_name(name) for name in head.split(separator)]
        return len(set(found) & wanted), len(found)

    return max(SEPARATORS, key=columns), 0, text


def _without_empty_ends(fields: list[str], count: int) -> list[str]:
    """The fields without empty ones behind the last column, as spreadsheets write them."""
    return fields[:count] if not any(field.strip() for field in fields[count:]) else fields


def _why_uneven(fields: Sequence[str], columns: Sequence[str], separator: str) -> str:
    if len(fields) < len(columns):
        return "a line has a field for each column, empty ones too"
    if any("\\" in field for field in fields):
        return "a quote in a text is written twice, not behind a backslash"
    return f'a text that holds one of the {SEPARATORS[separator]} needs quotes (") around it'


def _csv_lines(
    path: Path, text: str, separator: str, before: int
) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that holds something, with the line's number."""
    source = io.StringIO(text, newline="")
    # a blank behind a separator would make a quote part of the text that it stands around
    rows = csv.reader(source, delimiter=separator, strict=True, skipinitialspace=True)
    while True:
        number = rows.line_num + 1 + before
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            reason = str(error)
            if "end of data" in reason or "field limit" in reason:
                reason = "a quote that is opened is not closed"
            elif "expected after" in reason:
                reason = (
                    "text follows a closing quote; a quote in a text is written twice, not behind "
                    "a backslash"
                )
            raise refuse(path, {number: reason}) from None
        if any(field.strip() for field in fields):
            yield number, fields


def _swallowed(fields: Sequence[str], separator: str) -> str | None:
    """A line within a quoted field that could be a line of its own, and is no prose.

    Prose has a blank behind each comma, and no names of files.
    """
    for field in fields:
        for line in _LINE_ENDS.split(field)[1:]:
            parts = line.split(separator)
            if len(parts) >= len(fields) > 1 and (
                not any(part.startswith(" ") for part in parts[1:])
                or any(_FILE_NAME.fullmatch(part.strip(' "')) for part in parts)
            ):
                return line
    return None
