"""Terminal tables: search results, labels and scores, with untrusted text made safe."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

import typer
from pydantic import BaseModel
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from xclip_search import schemas

_SHOWN_CHARACTERS = 80  # of a text in a warning

Verdict = Callable[[str, float, float], Text]  # filename, start and end in seconds


def moment(seconds: float) -> str:
    """A point of time as m:ss.s."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    return f"{minutes}:{tenths // 10:02d}.{tenths % 10}"


def span(start: float, end: float) -> str:
    """A time span as start–end."""
    return f"{moment(start)}–{moment(end)}"


def length(seconds: float | None) -> str:
    """A video's length, or a dash until it is known."""
    return "—" if seconds is None else moment(seconds)


def print_items(items: Sequence[BaseModel]) -> None:
    """Answers of the service for another program: a JSON object a line."""
    for item in items:
        typer.echo(item.model_dump_json())


def plain(text: str) -> Text:
    """Text of unknown origin: no markup, and nothing that would steer the terminal."""
    return Text("".join(char if char.isprintable() else "�" for char in text))


def percent(confidence: float | None) -> Text:
    """A confidence as a percentage that is never rounded to 0% or 100%; a dash if unknown."""
    if confidence is None:
        return Text("—", style="dim")
    if confidence < 0.01:
        return Text("<1%")
    return Text(">99%" if confidence > 0.99 else f"{confidence:.0%}")


def ranking(
    results: Sequence[schemas.SearchResult], verdict: Verdict | None = None, *, first: int = 1
) -> Table:
    """Search results, best first and `first` the first one's rank; `verdict` says if one is right.

    The events of a sequence come below it.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("rank", justify="right")
    table.add_column("video", overflow="fold")
    table.add_column("moment", justify="right", no_wrap=True)
    table.add_column("confidence", justify="right")
    table.add_column("score", justify="right")
    if verdict is not None:
        table.add_column("shows it")
    for rank, result in enumerate(results, start=first):
        row = [
            Text(str(rank)),
            plain(result.filename),
            Text(span(result.start, result.end)),
            percent(result.confidence),
            Text(f"{result.score:.2f}"),
        ]
        if verdict is not None:
            row.append(verdict(result.filename, result.start, result.end))
        table.add_row(*row)
        for step in result.steps or ():
            name = Text("  ").append_text(plain(step.text))
            when = Text(span(step.start, step.end))
            score = Text(f"{step.score:.2f}")
            table.add_row("", name, when, percent(step.confidence), score, style="dim")
    return table


def nothing_found(answer: schemas.SearchAnswer) -> str:
    """The sentence to print instead of an empty ranking."""
    if not answer.index.segments_total:
        return "The collection holds no searchable video."
    if not answer.index.segments_eligible:
        unknown = [key for key, count in answer.index.filter_keys.items() if not count]
        why = f" No video's metadata has the key {unknown[0]!r}." if unknown else ""
        return f"The filter excludes all {answer.index.segments_total} segments.{why}"
    if answer.abstained:
        return (
            "Nothing here matches with that confidence. "
            "Leave out --min-confidence to see the nearest."
        )
    return "No video shows these events one after the other in that time."


def warn_of_cut_texts(answer: schemas.TextUsage) -> None:
    """Say on standard error which texts were longer than what the model reads."""
    console = Console(stderr=True, soft_wrap=True)
    for text in answer.truncated_texts:
        start = textwrap.shorten(text, _SHOWN_CHARACTERS, placeholder=" …")
        console.print(plain(f"warning: the model has read only the beginning of {start!r}"))


def labelled(answer: schemas.ClassifiedVideo | schemas.ClipAnswer) -> Group:
    """A video's name, its labels and, of several moments, each one's likeliest label."""
    parts: list[RenderableType] = [plain(answer.filename), probabilities(answer.scores)]
    if answer.segments is not None and len(answer.segments) > 1:
        parts += [Text(), moments_labelled(answer.segments)]
    return Group(*parts)


def videos_labelled(videos: Sequence[schemas.ClassifiedVideo]) -> Table | Text:
    """Each video with the labels that were answered for it, likeliest first."""
    if not videos:
        return Text("There is nothing to label: no searchable video matches.")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("video", overflow="fold")
    table.add_column("label")
    table.add_column("probability", justify="right")
    for video in videos:
        name = plain(video.filename)
        for label, score in likeliest_first(video.scores):
            table.add_row(name, plain(label), Text(f"{score:.1%}"))
            name = Text()  # once, above its other labels
    return table


def likeliest_first(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    """Labels and probabilities by probability."""
    return sorted(scores.items(), key=lambda item: -item[1])


def probabilities(scores: Mapping[str, float]) -> Table:
    """Labels with their probabilities, likeliest first."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("label")
    table.add_column("probability", justify="right")
    for label, score in likeliest_first(scores):
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
