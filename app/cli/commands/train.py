"""Training command: `train` trains a model from a configuration file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import errors, output, plain


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(train)


def train(
    config: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="TOML or JSON: see docs/training.md."),
    ],
) -> None:
    """Train a model, or resume an earlier run with this configuration.

    On several GPUs: torchrun --nproc-per-node N -m app.cli.main train CONFIG.
    """
    # imported late: clients of the service never need PyTorch
    from xclip.errors import XCLIPError
    from xclip.training.config import read_config
    from xclip.training.run import CHECKPOINT
    from xclip.training.run import train as run
    from xclip.training.validation import BEST

    try:
        chosen = read_config(config)
        finished = run(chosen)
    except XCLIPError as error:
        errors().print(plain(f"error: {error} ({error.code})"))
        raise typer.Exit(1) from None
    if os.environ.get("RANK", "0") != "0":
        return  # one of torchrun's processes is enough to say it
    console = output()
    loss = "" if finished.loss is None else f", last loss {finished.loss:.4f}"
    folder = chosen.run.output / CHECKPOINT
    console.print(plain(f"{finished.steps} steps{loss}; the checkpoint is in {folder}"))
    if best := finished.best:
        last = finished.measured[-1]
        console.print(
            plain(
                f"{best.name} on the validation clips: {best.figure:.3f} after step {best.step}, "
                f"whose checkpoint is in {chosen.run.output / BEST}; "
                f"{last.figure:.3f} after step {last.step}"
            )
        )
    console.print(
        "A trained model needs a confidence of its own: index videos with it, then run "
        "xclip-search calibrate COLLECTION (docs/confidence.md)."
    )
    if unused := len(finished.missing) + len(finished.broken):
        console.print(
            plain(
                f"{unused} files were not used: {len(finished.missing)} missing, "
                f"{len(finished.broken)} broken; they are listed in {chosen.run.output}"
            )
        )
    if rows := finished.left_out:
        console.print(
            plain(
                f"{len(rows)} rows of the annotations were not used, the first for this: {rows[0]}"
            )
        )
