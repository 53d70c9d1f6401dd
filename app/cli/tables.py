"""How answers look on a terminal: moments, scores, and text that came from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from app import schemas

Verdict = Callable[[str, float, float], Text]  # filename, start and end in seconds


def moment(seconds: float) -> str:
    """A point of time as m:ss.s."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    return f"{minutes}:{tenths // 10:02d}.{tenths % 10}"


def span(start: float, end: float) -> str:
    """A stretch of time."""
    return f"{moment(start)}–{moment(end)}"


def plain(text: str) -> Text:
    """Text of unknown origin: no markup, and nothing that would steer the terminal."""
    return Text("".join(char if char.isprintable() else "�" for char in text))


def ranking(results: Sequence[schemas.SearchResult], verdict: Verdict | None = None) -> Table:
    """Search results, best first; `verdict` says of each whether it is right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("rank", justify="right")
    table.add_column("video", overflow="fold")
    table.add_column("moment", justify="right", no_wrap=True)
    table.add_column("score", justify="right")
    if verdict is not None:
        table.add_column("shows it")
    for rank, result in enumerate(results, start=1):
        row = [
            Text(str(rank)),
            plain(result.filename),
            Text(span(result.start, result.end)),
            Text(f"{result.score:.2f}"),
        ]
        if verdict is not None:
            row.append(verdict(result.filename, result.start, result.end))
        table.add_row(*row)
    return table


def probabilities(scores: Mapping[str, float]) -> Table:
    """Labels with their probabilities, likeliest first."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("label")
    table.add_column("probability", justify="right")
    for label, score in sorted(scores.items(), key=lambda item: -item[1]):
        table.add_row(plain(label), Text(f"{score:.1%}"))
    return table


def moments_labelled(
    segments: Sequence[schemas.ClassifiedSegment | schemas.ClassifiedStretch],
    verdict: Callable[[float, float, str], Text] | None = None,
) -> Table:
    """Each moment's likeliest label; `verdict` says of each whether it is right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("moment", justify="right", no_wrap=True)
    table.add_column("likeliest label")
    table.add_column("probability", justify="right")
    if verdict is not None:
        table.add_column("shows it")
    for segment in segments:
        label, score = max(segment.scores.items(), key=lambda item: item[1])
        row = [Text(span(segment.start, segment.end)), plain(label), Text(f"{score:.1%}")]
        if verdict is not None:
            row.append(verdict(segment.start, segment.end, label))
        table.add_row(*row)
    return table
