"""Diagnosis command: `doctor` checks that this machine can run the service and suggests fixes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.errors import reported
from app.cli.tables import plain
from app.settings import load_settings

if TYPE_CHECKING:
    from app.maintenance.doctor import Diagnosis

_MARKS = {
    "ok": Text("✓", style="green"),
    "note": Text("!", style="yellow"),
    "wrong": Text("✗", style="bold red"),
}
_NAME = 18  # cells, for the longest


def register(cli: typer.Typer, *, epilog: str) -> None:
    """Add the command; `epilog` ends its help."""
    cli.command(epilog=epilog, rich_help_panel="Service")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Check model, codecs, sandbox, disk, GPU and ports; status 1 if something is wrong."""
    with reported():
        settings = load_settings(os.environ)
        from app.maintenance.doctor import diagnose  # late: clients of the service need none of it

        console = Console()
        found = []
        for finding in diagnose(settings):
            found.append(finding)
            if not as_json:
                console.print(_shown(finding))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    raise typer.Exit(1 if any(finding.verdict == "wrong" for finding in found) else 0)


def _shown(finding: Diagnosis) -> Table:
    """A line, or more where it is long, and below it the fix."""
    row = Table.grid(padding=(0, 1))
    row.add_column()
    row.add_column(width=_NAME)
    row.add_column(overflow="fold")
    row.add_row(_MARKS[finding.verdict], finding.check, plain(finding.message))
    if finding.fix:
        row.add_row("", "", Text("→ ").append_text(plain(finding.fix)))
    return row
