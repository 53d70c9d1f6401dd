"""Checkpoint commands: `models` lists, converts and checks checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from app.cli.errors import reported
from app.cli.output import Cell, Listing, figure, output, plain

_VERDICTS = {
    True: Cell(Text("pass"), "pass"),
    False: Cell(Text("FAIL", style="bold"), "FAIL"),
    None: Cell(Text("—", style="dim"), ""),
}


def register(cli: typer.Typer) -> None:
    """Add the command and what it can do."""
    models = typer.Typer(help="List, convert and check checkpoints.", no_args_is_help=True)
    models.command("list")(list_)
    models.command("convert")(convert)
    models.command("check")(check)
    cli.add_typer(models, name="models")


def list_() -> None:
    """List the published X-CLIP checkpoints; each name can be given as XCLIP_MODEL."""
    from xclip.conversion.published import PUBLISHED

    numbers = ("frames>", "size>", "patch>", "dims>", "parameters>")
    table = Listing("=name", *numbers, "trained on")
    for model in PUBLISHED:
        sizes = (model.num_frames, model.image_size, model.patch_size)
        dims, parameters = model.config().projection_dim, figure(model.parameters, ",")
        table.add_row(model.repository, *map(str, sizes), str(dims), parameters, model.trained_on)
    output().print(table)


def convert(
    source: Annotated[
        str,
        typer.Argument(help="An original .pth file, or the folder or hub id of a converted one."),
    ],
    dest: Annotated[Path, typer.Argument(help="The folder or the .pth file to write.")],
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Of a .pth file: folder or hub id whose tokenizer the new folder gets, such as "
            "openai/clip-vit-base-patch32. The file has none, and nothing runs without one."
        ),
    ] = None,
    heads: Annotated[
        Literal["original", "published"],
        typer.Option(
            help="Of a .pth file of the large size: 12 heads in MIT and prompts, as the original "
            "runs it, or 8, as the published config.json says."
        ),
    ] = "original",
) -> None:
    """Turn an original .pth file into a folder, or a folder into such a file; exact both ways."""
    with _reported():
        from xclip.conversion import videox_files

        if not Path(source).is_file():
            videox_files.convert_to_original(source, dest)
            typer.echo(f"{dest} holds the weights under the original's names.")
            return
        use_published = heads == "published"
        videox_files.convert_original(Path(source), dest, published_heads=use_published)
        if tokenizer is not None:
            videox_files.add_tokenizer(dest, tokenizer)
    typer.echo(f"{dest} holds the network in Hugging Face's layout.")
    if tokenizer is None:
        typer.echo("It still needs CLIP's tokenizer files before it can be used.", err=True)


def check(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FOLDER",
            help="A published name, a folder or a hub id. A folder named like a published "
            "checkpoint is compared with that one.",
        ),
    ],
    clip: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="The golden clip (.npy); left out, a published name has it downloaded.",
        ),
    ] = None,
) -> None:
    """Load a checkpoint, run one clip and compare with the known values; the status is 0 or 1."""
    with _reported():
        from xclip.conversion.verify import check_checkpoint  # late for the same reason

        results = check_checkpoint(source, clip)
    table = Listing("what", "verdict", "found")
    for result in results:
        table.add_row(plain(result.what), _VERDICTS[result.passed], plain(result.detail))
    console = output()
    console.print(table)
    if any(result.passed is False for result in results):
        console.print(plain(f"{source}: fail"))
        raise typer.Exit(1)
    compared = all(result.passed for result in results)
    console.print(plain(f"{source}: pass{'' if compared else ', not compared with golden values'}"))


@contextmanager
def _reported() -> Iterator[None]:
    """An error in a checkpoint ends with one line and a status, no traceback."""
    from xclip.errors import XCLIPError

    with reported(XCLIPError):
        yield
