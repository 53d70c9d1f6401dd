"""The commands that are clients of the REST API: `ingest`, `search`, `classify`, `demo`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from app.cli import demo
from app.cli.api_client import ApiClient, ApiError
from app.cli.ingest import Item, files_under, summary
from app.cli.ingest import ingest as ingest_items
from app.cli.tables import moments_labelled, plain, probabilities, ranking
from app.settings import SettingsError, base_url, load_settings

PANEL = "Clients"
Url = Annotated[
    str | None,
    typer.Option(
        help="Where the service is; left out: what XCLIP_HOST and XCLIP_PORT say.",
        show_default="http://127.0.0.1:8000",
    ),
]
Collection = Annotated[str, typer.Option(help="The collection to work in.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    for command in (ingest, search, classify):
        cli.command(rich_help_panel=PANEL)(command)
    demo.register(cli, panel=PANEL)


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders to look through.")],
    collection: Collection = "default",
    url: Url = None,
) -> None:
    """Send videos to the service and wait until they can be searched; status 1 if any failed."""
    console = Console()
    with _client(url) as client:
        items = [Item(path) for path in files_under(paths)]
        if not items:
            raise ApiError("no_video", "No file in those folders is a video by its name.")
        outcome = ingest_items(client, collection, items, console)
    console.print(summary(outcome))
    raise typer.Exit(1 if outcome.failures else 0)


def search(
    text: Annotated[str, typer.Argument(help="What happens in the moments to find.")],
    top_k: Annotated[int, typer.Option(min=1, max=200, help="How many moments to show.")] = 10,
    collection: Collection = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print the service's answer.")] = False,
    url: Url = None,
) -> None:
    """Find moments in words; best first."""
    with _client(url) as client:
        answer = client.search(collection, text, top_k)
    if as_json:
        typer.echo(answer.model_dump_json(indent=2))
        return
    console = Console()
    if not answer.results:
        console.print("There is nothing to find: the collection holds no searchable video.")
        return
    console.print(ranking(answer.results))
    looked, total = answer.index.segments_eligible, answer.timings_ms.total
    console.print(Text(f"{looked} moments searched in {total:.0f} ms", style="dim"))


def classify(
    labels: Annotated[list[str], typer.Argument(help="Two labels or more.")],
    video: Annotated[str | None, typer.Option(help="The id of a stored video.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A file; the service does not keep it."),
    ] = None,
    collection: Collection = "default",
    url: Url = None,
) -> None:
    """Say which of the labels fits a video, and each of its moments, best."""
    if (video is None) == (file is None):
        raise typer.BadParameter("name a stored video with --video, or a file with --file")
    console = Console()
    with _client(url) as client:
        answer = (
            client.classify_file(file, labels)
            if file is not None
            else client.classify_video(collection, video or "", labels)
        )
    console.print(plain(answer.filename))
    console.print(probabilities(answer.scores))
    if len(answer.segments) > 1:
        console.print()
        console.print(moments_labelled(answer.segments))


@contextmanager
def _client(url: str | None) -> Iterator[ApiClient]:
    """A client of the service; a refusal is one line and status 1, no traceback."""
    errors = Console(stderr=True)
    try:
        if url is None:
            settings = load_settings(os.environ)
            url = base_url(settings.host, settings.port)
        with ApiClient(url) as client:
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
