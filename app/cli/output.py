"""Command output: tables for people on a terminal, lines of tab-separated values for programs.

Whether standard output is a terminal decides. In a pipe or a file nothing is shortened, wrapped or
coloured, and no heads are printed. What is said beside the answer goes to standard error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.filesize import decimal
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_UNKNOWN = "—"


def output() -> Console:
    """Standard output, which breaks lines on a terminal only."""
    console = Console()
    console.soft_wrap = not console.is_terminal
    return console


def errors() -> Console:
    """Standard error, for remarks, progress and errors; it breaks lines on a terminal only."""
    console = Console(stderr=True)
    console.soft_wrap = not console.is_terminal
    return console


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as a terminal shows it, and the whole of it for a pipe."""

    shown: Text
    whole: str

    def __rich__(self) -> Text:
        return self.shown


class Listing(Table):
    """Rows under these heads; `>` at the end of a head puts its column to the right.

    A head that begins with `=` has a column whose values are never broken.
    """

    def __init__(self, *heads: str, show_header: bool = True) -> None:
        super().__init__(box=None, pad_edge=False, header_style="dim", show_header=show_header)
        for head in heads:
            self.add_column(
                head.strip("=>"),
                justify="right" if head.endswith(">") else "left",
                no_wrap=head.startswith("="),
                overflow="fold",
            )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return super().__rich_console__(console, options) if console.is_terminal else self._lines()

    def _lines(self) -> Iterator[Segment]:
        for row in zip(*(column.cells for column in self.columns), strict=True):
            yield Segment("\t".join(map(_whole, row)))
            yield Segment.line()


def _whole(cell: RenderableType) -> str:
    if isinstance(cell, Cell):
        return cell.whole
    return cell.plain if isinstance(cell, Text) else str(cell)


def plain(text: str) -> Text:
    """Text of unknown origin: no markup, and nothing that would steer the terminal."""
    return Text("".join(char if char.isprintable() else "�" for char in text))


def moment(seconds: float) -> str:
    """A point of time as m:ss.s."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    return f"{minutes}:{tenths // 10:02d}.{tenths % 10}"


def span(start: float, end: float) -> Cell:
    """A time span as start–end; in a pipe in seconds, as 1.5-3.0."""
    return Cell(Text(f"{moment(start)}–{moment(end)}"), f"{start}-{end}")


def length(seconds: float | None) -> Cell:
    """A video's length, or a dash until it is known; in a pipe seconds."""
    return Cell(Text(_UNKNOWN if seconds is None else moment(seconds)), _number(seconds))


def size(count: int) -> Cell:
    """A number of bytes with a unit; in a pipe without."""
    return Cell(Text(decimal(count)), str(count))


def figure(value: float, shown: str, unit: str = "") -> Cell:
    """A measured value, rounded by the format `shown` and with its unit; in a pipe as it is."""
    return Cell(Text(format(value, shown) + unit), str(value))


def percent(confidence: float | None) -> Cell:
    """A confidence as a percentage that is never rounded to 0% or 100%; a dash if unknown."""
    if confidence is None:
        return Cell(Text(_UNKNOWN, style="dim"), "")
    shown = f"{confidence:.0%}"
    if confidence < 0.01:
        shown = "<1%"
    elif confidence > 0.99:
        shown = ">99%"
    return Cell(Text(shown), str(confidence))


def optional(number: float | None) -> Cell:
    """A number, or a dash for none."""
    return Cell(Text(_UNKNOWN if number is None else str(number)), _number(number))


def _number(value: float | None) -> str:
    return "" if value is None else str(value)
