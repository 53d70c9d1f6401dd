"""Diagnosis command: `doctor` checks that this machine can run the service and suggests fixes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from app.cli.errors import reported
from app.cli.output import Listing, output, plain

if TYPE_CHECKING:
    from app.maintenance.doctor import Diagnosis

_MARKS = {
    "ok": Text("✓", style="green"),
    "note": Text("!", style="yellow"),
    "wrong": Text("✗", style="bold red"),
}
_NAME = 18  # cells, for the longest


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command()(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Check model, codecs, sandbox, disk, GPU and ports; status 1 if something is wrong."""
    with reported():
        from app.settings import load_settings

        settings = load_settings(os.environ)
        # late: the help needs none of it
        from app.maintenance.doctor import diagnose
        from xclip_search.addresses import without_secrets

        console = output()
        found = []
        for each in diagnose(settings):
            finding = replace(each, message=without_secrets(each.message))
            found.append(finding)
            if not as_json:
                console.print(_shown(finding, piped=not console.is_terminal))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    raise typer.Exit(1 if any(finding.verdict == "wrong" for finding in found) else 0)


def _shown(finding: Diagnosis, *, piped: bool) -> Table:
    """A line, or more where it is long, and below it the fix; a pipe gets it all in one line."""
    message, fix = plain(finding.message), plain(finding.fix)
    if piped:
        line = Listing("verdict", "check", "message", "fix")
        line.add_row(finding.verdict, finding.check, message, fix)
        return line
    row = Table.grid(padding=(0, 1))
    row.add_column()
    row.add_column(width=_NAME)
    row.add_column(overflow="fold")
    row.add_row(_MARKS[finding.verdict], finding.check, message)
    if finding.fix:
        row.add_row("", "", Text("→ ").append_text(fix))
    return row
