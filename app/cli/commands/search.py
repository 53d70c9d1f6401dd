"""Search commands: `ingest`, `search` and `classify`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from app.cli.connection import (
    AsJson,
    Collection,
    Key,
    Url,
    connected,
    json_object,
)
from app.cli.output import errors, output
from app.cli.tables import (
    nothing_found,
    print_labelled,
    ranking,
    videos_labelled,
    warn_of_cut_texts,
)

if TYPE_CHECKING:
    from xclip_search import Client, schemas

INGEST_PATIENCE_S = 3600.0  # a full queue may take long to empty


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    for command in (ingest, search, classify):
        cli.command()(command)


def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|URL...",
            help="Files, folders to look through, and http(s) URLs that the service fetches itself "
            "(if XCLIP_URL_INGEST allows it).",
        ),
    ],
    collection: Collection = "default",
    url: Url = None,
    key: Key = None,
) -> None:
    """Send videos to the service and wait until they can be searched; status 1 if any failed.

    If it is stopped, the same command resumes where it was.
    """
    # late: the help needs neither a client nor what knows of video formats
    from app.cli.commands.ingest import ingest as ingest_items
    from app.cli.commands.ingest import items_of, nothing_in, summary
    from app.cli.folder_scan import FolderScan
    from xclip_search import ApiError, Unfinished

    with connected(url, key, patience_s=INGEST_PATIENCE_S) as client:
        scan = FolderScan()
        items = items_of(sources, scan)
        if not items:
            raise ApiError("no_video", nothing_in(scan.skipped))
        unfinished = Unfinished(_cache_folder() / "uploads", client.url)
        outcome = ingest_items(client, collection, items, errors(), unfinished)
    output().print(summary(outcome, scan.skipped))
    raise typer.Exit(1 if outcome.failures else 0)


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="What happens in the moments to find."),
    ] = None,
    then: Annotated[
        list[str] | None,
        typer.Option(help="What happens after it in the same video; up to four times."),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(min=0, help="With --then: the most seconds between two events, else 30."),
    ] = None,
    not_: Annotated[
        str | None, typer.Option("--not", metavar="TEXT", help="What the moments should not show.")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="SEGMENT_ID", help="Instead of TEXT: moments like this one; --json prints ids."
        ),
    ] = None,
    clip: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Instead of TEXT: moments like this file."),
    ] = None,
    filter_: Annotated[
        str | None,
        typer.Option(
            "--filter", metavar="JSON", help="Which videos to search: see docs/filters.md."
        ),
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Leave out results of lower confidence.")
    ] = None,
    merge: Annotated[
        bool | None,
        typer.Option(
            "--merge/--no-merge",
            help="Merge overlapping segments into moments, or list each segment.",
        ),
    ] = None,
    by_video: Annotated[
        bool, typer.Option("--by-video", help="The best moment of each video only.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many moments to show.")] = 10,
    collection: Collection = "default",
    pictures: Annotated[
        Literal["auto", "no", "kitty", "iterm2", "sixel", "blocks"],
        typer.Option(help="A picture of each moment; auto: if the terminal says that it can."),
    ] = "auto",
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Find moments by text or by example, best first."""
    text = _one_text(words or [], has_other_texts=bool(then) or not_ is not None)
    if sum(choice is not None for choice in (text, like, clip)) != 1:
        raise typer.BadParameter("say what to find: TEXT, --like SEGMENT_ID or --clip FILE")
    given: dict[str, Any] = {
        "text": None if then else text,
        "segment_id": like,
        "filter": None if filter_ is None else json_object("--filter", filter_),
        "merge": not then if merge is None else merge,  # a sequence is a moment already
        "group_by": "video" if by_video else None,
        "top_k": top,
        **_text_options(text, then, within, not_, min_confidence),
    }
    options = {name: value for name, value in given.items() if value is not None}
    with connected(url, key) as client:
        if clip is not None:
            answer = client.search_clip(clip, collection=collection, **options)
        else:
            answer = client.search(collection=collection, **options)
        if as_json:
            typer.echo(answer.model_dump_json(indent=2))
        else:
            _show(client, answer, pictures)


def _one_text(words: Sequence[str], *, has_other_texts: bool) -> str | None:
    """Words that the shell has parted, as one text. Raises BadParameter where it is not clear.

    With other texts beside them, the words may be the rest of one of those.
    """
    if len(words) > 1 and has_other_texts:
        raise typer.BadParameter(
            f"put each text in quotes: it is not clear which one {words[-1]!r} belongs to"
        )
    return " ".join(words) or None


def _text_options(
    text: str | None,
    then: list[str] | None,
    within: float | None,
    negative: str | None,
    min_confidence: float | None,
) -> dict[str, Any]:
    """The options that go with a text; None where one is not set."""
    options = {
        "then": [text, *then] if then else None,
        "within_s": within,
        "negative_text": negative,
        "min_confidence": min_confidence,
    }
    if text is None and any(value is not None for value in options.values()):
        raise typer.BadParameter("--then, --within, --not and --min-confidence go with TEXT")
    if then and negative is not None:
        raise typer.BadParameter("--not goes with a single TEXT; leave --then or --not out")
    return options


def _show(client: Client, answer: schemas.SearchAnswer, pictures: str) -> None:
    console = output()
    warn_of_cut_texts(answer)
    if not answer.results:
        errors().print(nothing_found(answer))
        return
    if pictures == "no":
        console.print(ranking(answer.results))
    else:
        _show_with_pictures(client, answer.results, pictures, console)
    looked, total = answer.index.segments_eligible, answer.timings_ms.total
    remark = f"{looked} segments searched in {total:.0f} ms"
    if answer.confidence_kind == "estimated":
        remark += "; the confidence is an estimate, not calibrated"
    if answer.index.segments_damaged:
        remark += f"; {answer.index.segments_damaged} more could not be read and are being rebuilt"
    errors().print(Text(remark, style="dim"))


def _show_with_pictures(
    client: Client, results: Sequence[schemas.SearchResult], pictures: str, console: Console
) -> None:
    from app.cli.terminal_images import WAYS, drawn, find_way  # late: most terminals show none

    way = next((way for way in WAYS if way == pictures), None) or find_way(os.environ)
    if way is None:
        console.print(ranking(results))
        return
    for rank, result in enumerate(results, start=1):
        console.print(ranking([result], first=rank))
        typer.echo(drawn(client.picture(result.thumbnail_url), way))


def classify(
    labels: Annotated[list[str] | None, typer.Argument(help="Two labels or more.")] = None,
    label_set: Annotated[
        str | None, typer.Option(help="A stored label set, instead of labels.")
    ] = None,
    video: Annotated[str | None, typer.Option(help="The id of a stored video.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A file; the service does not keep it."),
    ] = None,
    filter_: Annotated[
        str | None,
        typer.Option("--filter", metavar="JSON", help="A filter: every stored video it allows."),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(help="A text with {} where each label goes; may be given several times."),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Show only so many labels, the likeliest.")
    ] = None,
    collection: Collection = "default",
    url: Url = None,
    key: Key = None,
) -> None:
    """Say which of the labels fits a video, and each of its moments, best."""
    if sum(choice is not None for choice in (video, file, filter_)) != 1:
        raise typer.BadParameter(
            "name a stored video with --video, a file with --file, or several with --filter"
        )
    if bool(labels) == (label_set is not None):
        raise typer.BadParameter("give two labels or more, or a label set with --label-set")
    given: dict[str, Any] = {
        "labels": labels,
        "label_set": label_set,
        "templates": template,
        "top": top,
    }
    options = {name: value for name, value in given.items() if value}
    console = output()
    with connected(url, key) as client:
        if file is not None:
            clip = client.classify_file(file, **options)
            warn_of_cut_texts(clip)
            print_labelled(clip, console)
        elif video is not None:
            answer = client.classify(collection=collection, video_ids=[video], **options)
            warn_of_cut_texts(answer)
            print_labelled(answer.videos[0], console)
        else:
            allowed = json_object("--filter", filter_ or "")
            options = {"top": 1, **options}
            answer = client.classify(
                collection=collection, filter=allowed, segments=False, **options
            )
            warn_of_cut_texts(answer)
            if answer.videos:
                console.print(videos_labelled(answer.videos))
            else:
                errors().print("There is nothing to label: no searchable video matches.")


def _cache_folder() -> Path:
    """The cache folder, by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "xclip-search"
