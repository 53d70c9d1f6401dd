"""Result tables: search results, labels and scores."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console, Group, RenderableType
from rich.text import Text

from app.cli.output import Cell, Listing, errors, figure, percent, plain, span

if TYPE_CHECKING:
    from pydantic import BaseModel

    from xclip_search import schemas

_SHOWN_CHARACTERS = 80  # of a text in a warning

Verdict = Callable[[str, float, float], Text]  # filename, start and end in seconds


def print_items(items: Sequence[BaseModel]) -> None:
    """Answers of the service for another program: a JSON object a line."""
    for item in items:
        typer.echo(item.model_dump_json())


def ranking(
    results: Sequence[schemas.SearchResult], verdict: Verdict | None = None, *, first: int = 1
) -> Listing:
    """Search results, best first and `first` the first one's rank; `verdict` says if one is right.

    The events of a sequence come below it.
    """
    verdicts = () if verdict is None else ("shows it",)
    table = Listing("rank>", "video", "=moment>", "confidence>", "score>", *verdicts)
    for rank, result in enumerate(results, start=first):
        row: list[RenderableType] = [
            str(rank),
            plain(result.filename),
            span(result.start, result.end),
            percent(result.confidence),
            figure(result.score, ".2f"),
        ]
        if verdict is not None:
            row.append(verdict(result.filename, result.start, result.end))
        table.add_row(*row)
        for step in result.steps or ():
            text = plain(step.text)
            name = Cell(Text("  ").append_text(text), text.plain)
            when, score = span(step.start, step.end), figure(step.score, ".2f")
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
    console = errors()
    for text in answer.truncated_texts:
        start = textwrap.shorten(text, _SHOWN_CHARACTERS, placeholder=" …")
        console.print(plain(f"warning: the model has read only the beginning of {start!r}"))


def print_labelled(answer: schemas.ClassifiedVideo | schemas.ClipAnswer, console: Console) -> None:
    """A video's name, its labels and, of several moments, each one's likeliest label.

    In a pipe it is one table, in which the labels of the whole video have no moment.
    """
    segments = answer.segments if answer.segments is not None and len(answer.segments) > 1 else []
    if console.is_terminal:
        console.print(Group(plain(answer.filename), probabilities(answer.scores)))
        if segments:
            console.print(Group(Text(), moments_labelled(segments)))
        return
    table = Listing("moment", "label", "probability")
    for label, score in likeliest_first(answer.scores):
        table.add_row("", plain(label), figure(score, ".1%"))
    for segment in segments:
        label, score = likeliest_first(segment.scores)[0]
        table.add_row(span(segment.start, segment.end), plain(label), figure(score, ".1%"))
    console.print(table)


def videos_labelled(videos: Sequence[schemas.ClassifiedVideo]) -> Listing:
    """Each video with the labels that were answered for it, likeliest first."""
    table = Listing("video", "label", "probability>")
    for video in videos:
        name = plain(video.filename)
        shown = name  # once on a terminal, above its other labels
        for label, score in likeliest_first(video.scores):
            table.add_row(Cell(shown, name.plain), plain(label), figure(score, ".1%"))
            shown = Text()
    return table


def likeliest_first(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    """Labels and probabilities by probability."""
    return sorted(scores.items(), key=lambda item: -item[1])


def probabilities(scores: Mapping[str, float]) -> Listing:
    """Labels with their probabilities, likeliest first."""
    table = Listing("label", "probability>")
    for label, score in likeliest_first(scores):
        table.add_row(plain(label), figure(score, ".1%"))
    return table


def moments_labelled(
    segments: Sequence[schemas.ClassifiedSegment | schemas.ClassifiedStretch],
    verdict: Callable[[float, float, str], Text] | None = None,
) -> Listing:
    """Each moment's likeliest label; `verdict` says of each whether it is right."""
    verdicts = () if verdict is None else ("shows it",)
    table = Listing("=moment>", "likeliest label", "probability>", *verdicts)
    for segment in segments:
        label, score = max(segment.scores.items(), key=lambda item: item[1])
        row: list[RenderableType] = [
            span(segment.start, segment.end),
            plain(label),
            figure(score, ".1%"),
        ]
        if verdict is not None:
            row.append(verdict(segment.start, segment.end, label))
        table.add_row(*row)
    return table
