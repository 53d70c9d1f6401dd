"""Demo command: `demo` runs the whole service on generated clips."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import errors, output, plain

_SEED = 4


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(demo)


def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="Stop the service at the end.")] = False,
    data_dir: Annotated[
        Path, typer.Option(help="Folder of the demo; what an earlier demo left there is deleted.")
    ] = Path(".demo-data"),
    port: Annotated[int, typer.Option(min=1, max=65534, help="Port of the service.")] = 8000,
) -> None:
    """Start the service on generated clips, search them, and leave it running."""
    # late: the help needs no client, no NumPy and no video encoder
    from app.cli.demo_clips import draw_showcase
    from app.cli.demo_run import DemoError, run_demo
    from app.settings import SettingsError
    from xclip_search import ApiError

    console = output()
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that the service is stopped on the way out
        signal.signal(number, _interrupt)
    try:
        run_demo(draw_showcase(_SEED), console, data_dir, port, stay=not exit_)
    except (DemoError, ApiError, SettingsError) as error:
        errors().print(plain(f"error: {error}"))
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("Stopped.")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
