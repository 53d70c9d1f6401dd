"""Settings command: `settings` lists every environment variable, its default and its meaning."""

from __future__ import annotations

import typer

from app.cli.output import Listing, output


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(settings)


def settings() -> None:
    """List the settings, which are environment variables."""
    from app.settings import describe_settings  # late: the help needs none of it

    listing = Listing("setting", "default", "meaning")
    for each in describe_settings():
        listing.add_row(each.variable, each.default, each.description)
    output().print(listing)
