"""The commands that are clients of the REST API: `ingest`, `search`, `classify`, `demo`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import JsonValue
from rich.console import Console
from rich.text import Text

from app import schemas
from app.cli import demo
from app.cli.api_client import ApiClient, ApiError
from app.cli.ingest import ingest as ingest_items
from app.cli.ingest import items_of, summary
from app.cli.tables import labelled, nothing_found, plain, ranking, videos_labelled
from app.settings import KEY_VARIABLE, SettingsError, base_url, load_settings

PANEL = "Clients"
Url = Annotated[
    str | None,
    typer.Option(
        help="Where the service is; left out: what XCLIP_HOST and XCLIP_PORT say.",
        show_default="http://127.0.0.1:8000",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(envvar=KEY_VARIABLE, help="The API key; better left to the environment."),
]
Collection = Annotated[str, typer.Option(help="The collection to work in.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    for command in (ingest, search, classify):
        cli.command(rich_help_panel=PANEL)(command)
    demo.register(cli, panel=PANEL)


def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|URL...",
            help="Files, folders to look through, and http(s) URLs that the service fetches itself "
            "(if XCLIP_URL_INGEST lets it).",
        ),
    ],
    collection: Collection = "default",
    url: Url = None,
    key: Key = None,
) -> None:
    """Send videos to the service and wait until they can be searched; status 1 if any failed."""
    console = Console()
    with _client(url, key) as client:
        items = items_of(sources)
        if not items:
            raise ApiError("no_video", "No file in those folders is a video by its name.")
        outcome = ingest_items(client, collection, items, console)
    console.print(summary(outcome))
    raise typer.Exit(1 if outcome.failures else 0)


def search(
    text: Annotated[str | None, typer.Argument(help="What happens in the moments to find.")] = None,
    then: Annotated[
        list[str] | None,
        typer.Option(help="What happens after it in the same video; up to four times."),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(min=0, help="With --then: seconds from one event to the next, else 30."),
    ] = None,
    not_: Annotated[
        str | None, typer.Option("--not", metavar="TEXT", help="What is rather not to be seen.")
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
        typer.Option("--filter", metavar="JSON", help="Where to look: see docs/filters.md."),
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Leave out what is less certain.")
    ] = None,
    merge: Annotated[
        bool | None,
        typer.Option("--merge/--no-merge", help="Whole moments, or the windows they are made of."),
    ] = None,
    by_video: Annotated[
        bool, typer.Option("--by-video", help="The best moment of each video only.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many moments to show.")] = 10,
    collection: Collection = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print the service's answer.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Find moments in words or by example; best first."""
    if sum(choice is not None for choice in (text, like, clip)) != 1:
        raise typer.BadParameter("say what to find: TEXT, --like SEGMENT_ID or --clip FILE")
    for_words = {
        "then": [text, *then] if then else None,
        "within_s": within,
        "negative_text": not_,
        "min_confidence": min_confidence,
    }
    if text is None and any(value is not None for value in for_words.values()):
        raise typer.BadParameter("--then, --within, --not and --min-confidence go with TEXT")
    if then and not_ is not None:
        raise typer.BadParameter("--not goes with a single TEXT; leave --then or --not out")
    given: dict[str, Any] = {
        "text": None if then else text,
        "segment_id": like,
        "filter": None if filter_ is None else _json_object(filter_),
        "merge": not then if merge is None else merge,  # a sequence is a moment already
        "group_by": "video" if by_video else None,
        "top_k": top,
        **for_words,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    with _client(url, key) as client:
        if clip is not None:
            answer = client.search_clip(collection, clip, asked)
        else:
            answer = client.search(collection, asked)
    if as_json:
        typer.echo(answer.model_dump_json(indent=2))
        return
    _show(answer, Console())


def _show(answer: schemas.SearchAnswer, console: Console) -> None:
    if not answer.results:
        console.print(nothing_found(answer))
        return
    console.print(ranking(answer.results))
    looked, total = answer.index.segments_eligible, answer.timings_ms.total
    remark = f"{looked} moments searched in {total:.0f} ms"
    if answer.confidence_kind == "estimated":
        remark += "; the confidence is an estimate, not calibrated"
    if answer.index.segments_damaged:
        remark += f"; {answer.index.segments_damaged} more could not be read and are being remade"
    console.print(Text(remark, style="dim"))


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
    asked = {name: value for name, value in given.items() if value}
    console = Console()
    with _client(url, key) as client:
        if file is not None:
            console.print(labelled(client.classify_file(file, asked)))
        elif video is not None:
            answer = client.classify(collection, {"video_ids": [video]}, asked)
            console.print(labelled(answer.videos[0]))
        else:
            part = {"filter": _json_object(filter_ or ""), "segments": False}
            answer = client.classify(collection, part, {"top": 1, **asked})
            console.print(videos_labelled(answer.videos))


def _json_object(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"--filter {text!r} is no JSON object")
    return value


@contextmanager
def _client(url: str | None, key: str | None) -> Iterator[ApiClient]:
    """A client of the service; a refusal is one line and status 1, no traceback."""
    errors = Console(stderr=True)
    try:
        if url is None:
            settings = load_settings(os.environ)
            url = base_url(settings.host, settings.port)
        with ApiClient(url, key) as client:
            yield client
    except SettingsError as error:
        errors.print(plain(f"error: {error}"))
        raise typer.Exit(os.EX_CONFIG) from None
    except ApiError as error:
        errors.print(plain(f"error: {error.message} ({error.code})"))
        raise typer.Exit(1) from None
    except OSError as error:
        errors.print(plain(f"error: {error.filename}: {error.strerror}"))
        raise typer.Exit(1) from None
