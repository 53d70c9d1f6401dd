"""Entry point: the `xclip-search` command and all its subcommands."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from typing import Annotated, ClassVar, TextIO

import typer

from app.cli.lazy_commands import LazyCommand, LazyGroup

_SERVICE, _MAINTENANCE, _CLIENTS = "Service", "Maintenance", "Clients"
_MEASURING, _TRAINING = "Measuring", "Training"


class Commands(LazyGroup):
    """All commands, in the order of the help."""

    entries: ClassVar[Mapping[str, LazyCommand]] = {
        "serve": LazyCommand(
            "serve",
            _SERVICE,
            "Start the API and a worker, restart what dies, stop both on Ctrl-C or SIGTERM.",
        ),
        "api": LazyCommand("serve", _SERVICE, "Start the REST API alone."),
        "worker": LazyCommand(
            "serve",
            _SERVICE,
            "Start one worker alone: the model server and the runner of ingest jobs.",
        ),
        "settings": LazyCommand(
            "settings", _SERVICE, "List the settings, which are environment variables."
        ),
        "doctor": LazyCommand(
            "doctor",
            _SERVICE,
            "Check model, codecs, sandbox, disk, GPU and ports; status 1 if something is wrong.",
        ),
        "keys": LazyCommand("keys", _SERVICE, "Make, list and revoke API keys."),
        "models": LazyCommand("models", _SERVICE, "List, convert and check checkpoints."),
        "verify": LazyCommand(
            "maintenance",
            _MAINTENANCE,
            "Compare everything on disk with the catalog; status 0 if nothing is damaged, else 1.",
        ),
        "gc": LazyCommand(
            "maintenance",
            _MAINTENANCE,
            "Remove orphans: files and records that nothing refers to, left by processes that "
            "died.",
        ),
        "backup": LazyCommand(
            "maintenance",
            _MAINTENANCE,
            "Copy the whole library to a new folder, also while the service runs.",
        ),
        "restore": LazyCommand(
            "maintenance",
            _MAINTENANCE,
            "Restore the data folder, which must be empty or not exist, from a backup.",
        ),
        "adopt": LazyCommand(
            "maintenance",
            _MAINTENANCE,
            "Pair a data folder with a catalog that is not its own, after a restore in part.",
        ),
        "ingest": LazyCommand(
            "search",
            _CLIENTS,
            "Send videos to the service and wait until they can be searched; status 1 if any "
            "failed.",
        ),
        "search": LazyCommand(
            "search", _CLIENTS, "Find moments by text or by example, best first."
        ),
        "classify": LazyCommand(
            "search",
            _CLIENTS,
            "Say which of the labels fits a video, and each of its moments, best.",
        ),
        "demo": LazyCommand(
            "demo",
            _CLIENTS,
            "Start the service on generated clips, search them, and leave it running.",
        ),
        "export": LazyCommand(
            "export",
            _CLIENTS,
            "Write every segment of a collection with its vector and its video's metadata to a "
            "file.",
        ),
        "collections": LazyCommand(
            "library", _CLIENTS, "List collections; make, describe and delete them."
        ),
        "videos": LazyCommand(
            "library", _CLIENTS, "List a collection's videos; show, describe and delete them."
        ),
        "label-sets": LazyCommand(
            "library", _CLIENTS, "List label sets; show, make and delete them."
        ),
        "jobs": LazyCommand("jobs", _CLIENTS, "List, watch, cancel or retry jobs."),
        "calibrate": LazyCommand(
            "calibrate",
            _MEASURING,
            "Calibrate confidence on a collection; a running service uses it at once.",
        ),
        "recall": LazyCommand(
            "calibrate",
            _MEASURING,
            "Measure how many candidates a search must score, and let the collection use that "
            "number.",
        ),
        "evaluate": LazyCommand("evaluate", _MEASURING, "Measure the model on annotated clips."),
        "train": LazyCommand(
            "train", _TRAINING, "Train a model, or resume an earlier run with this configuration."
        ),
    }


def build_cli() -> typer.Typer:
    """The command with all its subcommands."""
    cli = typer.Typer(
        name="xclip-search",
        cls=Commands,
        help="Find moments in video by what happens in them.",
        epilog="Settings are environment variables: xclip-search settings lists them.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    cli.callback()(_options)
    return cli


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # late: few ask for it

        typer.echo(f"xclip-search {version('xclip-search')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """What goes before a command."""


def accept_any_text(stream: TextIO) -> None:
    """Have letters that the terminal's encoding lacks written as escapes, not end a command."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Entry point of the console script."""
    accept_any_text(sys.stdout)
    build_cli()()


if __name__ == "__main__":
    main()
