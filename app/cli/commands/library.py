"""Library commands: manage `collections`, `videos` and `label-sets` through the service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from app.cli.connection import (
    AsJson,
    Collection,
    CollectionName,
    Key,
    Url,
    connected,
    json_object,
)
from app.cli.errors import reported
from app.cli.output import Cell, Listing, errors, figure, length, output, plain, size, span
from app.cli.tables import print_items
from xclip.errors import TextFileError
from xclip.text_file import read_lines

if TYPE_CHECKING:
    from xclip_search import schemas

VideoId = Annotated[str, typer.Argument(help="The id of a video; `videos` prints them.")]
SetName = Annotated[str, typer.Argument(help="The label set's name.")]
Metadata = Annotated[
    str | None, typer.Option(metavar="JSON", help="An object that replaces the stored metadata.")
]
_BAR = 40  # cells of a heat map's longest line


def register(cli: typer.Typer) -> None:
    """Add the commands; each lists when given no subcommand."""
    for name, about, list_, actions in (
        (
            "collections",
            "List collections; make, describe and delete them.",
            _collections,
            _OF_SETS,
        ),
        ("videos", "List a collection's videos; show, describe and delete them.", _videos, _OF_ONE),
        ("label-sets", "List label sets; show, make and delete them.", _label_sets, _OF_LABELS),
    ):
        group = typer.Typer(help=about, invoke_without_command=True)
        group.callback()(list_)
        for action, command in actions.items():
            group.command(action)(command)
        cli.add_typer(group, name=name)


def _collections(
    context: typer.Context, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    if context.invoked_subcommand:
        return
    with connected(url, key) as client:
        found = list(client.collections())
    if as_json:
        print_items(found)
        return
    table = Listing("collection", "model", "videos>", "segments>", "window>", "every>")
    for each in found:
        cut = each.segmentation
        numbers = (
            str(each.videos),
            str(each.segments),
            figure(cut.window_s, "g", " s"),
            figure(cut.stride_s, "g", " s"),
        )
        table.add_row(each.name, plain(each.model), *numbers)
    output().print(table)


def create_collection(
    name: CollectionName,
    window: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds of a segment; the default is the service's."),
    ] = None,
    stride: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds from one segment to the next.")
    ] = None,
    metadata: Metadata = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a collection; nothing happens if it exists with these settings."""
    about = None if metadata is None else json_object("--metadata", metadata)
    with connected(url, key) as client:
        made = client.put_collection(name, window_s=window, stride_s=stride, metadata=about)
    cut = made.segmentation
    typer.echo(f"{made.name}: segments of {cut.window_s:g} s every {cut.stride_s:g} s")


def describe_collection(
    name: CollectionName,
    metadata: Annotated[
        str, typer.Argument(metavar="JSON", help="The object to store as metadata.")
    ],
    url: Url = None,
    key: Key = None,
) -> None:
    """Replace a collection's metadata."""
    about = json_object("JSON", metadata)
    with connected(url, key) as client:
        typer.echo(client.describe_collection(name, about).model_dump_json(indent=2))


def delete_collection(
    name: CollectionName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Delete a collection with all its videos."""
    with connected(url, key) as client:
        found = client.collection(name)
        if not yes:
            typer.confirm(f"Delete {name} and its {found.videos} videos?", abort=True)
        _say_deleted(client.delete_collection(name))


def _videos(
    context: typer.Context,
    collection: Collection = "default",
    status: Annotated[
        Literal["processing", "ready", "failed"] | None,
        typer.Option(help="Only videos with this status."),
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    if context.invoked_subcommand:
        return
    with connected(url, key) as client:
        found = list(client.videos(collection=collection, status=status))
    if as_json:
        print_items(found)
        return
    table = Listing("=id", "video", "status", "length>", "size>", "why it failed")
    for each in found:
        why = plain(each.error.message) if each.error else Text()
        row = (each.status, length(each.duration_s), size(each.size_bytes))
        table.add_row(each.id, plain(each.filename), *row, why)
    output().print(table)


def show_video(
    video_id: VideoId,
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Draw how well this text fits, over time.")
    ] = None,
    collection: Collection = "default",
    url: Url = None,
    key: Key = None,
) -> None:
    """Print what is known of a video, or how well a text fits it over time."""
    with connected(url, key) as client:
        if text is None:
            typer.echo(client.video(video_id, collection=collection).model_dump_json(indent=2))
        else:
            pieces = client.heatmap(video_id, text, collection=collection).pieces
            if pieces:
                output().print(_heat(pieces))
            else:
                errors().print("Nothing of the video is indexed.")


def describe_video(
    video_id: VideoId,
    metadata: Annotated[
        str, typer.Argument(metavar="JSON", help="The object to store as metadata.")
    ],
    collection: Collection = "default",
    url: Url = None,
    key: Key = None,
) -> None:
    """Replace a video's metadata, which searches filter by."""
    about = json_object("JSON", metadata)
    with connected(url, key) as client:
        typer.echo(
            client.describe_video(video_id, about, collection=collection).model_dump_json(indent=2)
        )


def delete_videos(
    video_ids: Annotated[list[str], typer.Argument(metavar="VIDEO_ID...", help="Which ones.")],
    collection: Collection = "default",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Delete videos; no search shows them from then on."""
    with connected(url, key) as client:
        if not yes:
            videos = [client.video(video_id, collection=collection) for video_id in video_ids]
            names = ", ".join(plain(video.filename).plain for video in videos)
            typer.confirm(f"Delete {names}?", abort=True)
        pending = [client.delete_video(video_id, collection=collection) for video_id in video_ids]
    _say_deleted(pending[-1])


def _label_sets(
    context: typer.Context, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    if context.invoked_subcommand:
        return
    with connected(url, key) as client:
        found = list(client.label_sets())
    if as_json:
        print_items(found)
        return
    table = Listing("label set", "labels>", "templates")
    for each in found:
        table.add_row(each.name, str(each.size), plain(" · ".join(each.templates)))
    output().print(table)


def show_label_set(name: SetName, url: Url = None, key: Key = None) -> None:
    """Print the labels, one a line."""
    with connected(url, key) as client:
        for label in client.label_set(name).labels:
            typer.echo(plain(label).plain)


def put_label_set(
    name: SetName,
    labels: Annotated[list[str] | None, typer.Argument(help="Two labels or more.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Instead: a file with a label a line."),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(help="A text with {} where each label goes; may be given several times."),
    ] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a label set, or replace its labels."""
    if bool(labels) == (file is not None):
        raise typer.BadParameter("give two labels or more, or a file with --file")
    with reported(TextFileError):
        given = labels or [line for _, line in read_lines(file or Path())]
    with connected(url, key) as client:
        made = client.put_label_set(name, given, template or ())
    typer.echo(f"{made.name}: {len(made.labels)} labels")


def delete_label_set(name: SetName, url: Url = None, key: Key = None) -> None:
    """Delete a label set; what was answered with it stays as it is."""
    with connected(url, key) as client:
        client.delete_label_set(name)
    typer.echo("Deleted.")


_OF_SETS: dict[str, Callable[..., None]] = {
    "create": create_collection,
    "describe": describe_collection,
    "delete": delete_collection,
}
_OF_ONE: dict[str, Callable[..., None]] = {
    "show": show_video,
    "describe": describe_video,
    "delete": delete_videos,
}
_OF_LABELS: dict[str, Callable[..., None]] = {
    "show": show_label_set,
    "put": put_label_set,
    "delete": delete_label_set,
}


def _heat(intervals: list[schemas.HeatmapPiece]) -> Listing:
    """A bar for each interval, as long as its score is above the lowest of all; none in a pipe."""
    scores = [interval.score for interval in intervals]
    least, most = min(scores), max(scores)
    table = Listing("moment>", "score>", "")
    for interval in intervals:
        share = (interval.score - least) / (most - least) if most > least else 1.0
        bar = Text("█" * max(1, round(_BAR * share)), style="cyan")
        when, score = span(interval.start, interval.end), figure(interval.score, ".2f")
        table.add_row(when, score, Cell(bar, ""))
    return table


def _say_deleted(pending: int) -> None:
    rest = f" {pending} files are not off the disk yet; the service goes on trying."
    typer.echo("Deleted." + (rest if pending else ""))
