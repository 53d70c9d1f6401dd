"""Entry point: the `xclip-search` command and all its subcommands."""

from __future__ import annotations

import typer

from app.cli.commands import (
    calibrate,
    doctor,
    evaluate,
    export,
    jobs,
    keys,
    library,
    maintenance,
    models,
    search,
    serve,
    train,
)
from app.settings import describe_settings


def build_cli() -> typer.Typer:
    """The command with all its subcommands; each module that has some brings a `register`."""
    cli = typer.Typer(
        name="xclip-search",
        help="Find moments in video by what happens in them.",
        epilog=settings_help(),
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    serve.register(cli, epilog=settings_help())
    keys.register(cli, epilog=settings_help())
    maintenance.register(cli, epilog=settings_help())
    doctor.register(cli, epilog=settings_help())
    models.register(cli)
    search.register(cli)
    library.register(cli)
    jobs.register(cli)
    export.register(cli)
    calibrate.register(cli, epilog=settings_help())
    evaluate.register(cli, epilog=settings_help())
    train.register(cli)
    return cli


def settings_help() -> str:
    """The environment variables as a part of `--help`: one paragraph a setting."""
    lines = ["[bold]Settings are environment variables[/bold] (name, default, meaning):"]
    lines += [
        f"[cyan]{setting.variable}[/cyan] ({setting.default}) {setting.description}"
        for setting in describe_settings()
    ]
    return "\n\n".join(lines)


def main() -> None:
    """Entry point of the console script."""
    build_cli()()


if __name__ == "__main__":
    main()
