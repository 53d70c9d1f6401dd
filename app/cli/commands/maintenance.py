"""Maintenance commands: `verify`, `gc`, `backup`, `restore` and `adopt`.

Each works on the data folder itself, with or without a running service (`restore`: without).
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from app.cli.errors import reported
from app.cli.output import Cell, Listing, errors, output, plain

if TYPE_CHECKING:
    from app.maintenance.orphans import Orphan
    from app.maintenance.verify import Repairs, Report
    from app.settings import Settings

SHOWN = 100  # lines of a table on a terminal; --json prints everything
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    for command in (verify, gc, backup, restore, adopt):
        cli.command()(command)


def verify(
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Ingest damaged videos again if their own file is intact."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare everything on disk with the catalog; status 0 if nothing is damaged, else 1."""
    with _reported() as settings:
        # late here and below: clients of the service need neither a database nor pictures
        from app.maintenance import verify as checks
        from app.maintenance.data_folder import open_library

        with open_library(settings) as opened, _progress("videos checked") as progress:
            report = checks.verify(opened.catalog, opened.storage, progress)
            repairs = checks.repair(opened.catalog, report) if repair else None
    if as_json:
        body = asdict(report) | ({"repairs": asdict(repairs)} if repairs else {})
        body["waste"] = body.pop("orphans")  # the field's name since the first version
        typer.echo(json.dumps(body, indent=2))
    else:
        _show(report, repairs, output())
    raise typer.Exit(1 if report.damage else 0)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print; remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove orphans: files and records that nothing refers to, left by processes that died."""
    with _reported() as settings:
        from app.maintenance.data_folder import open_library
        from app.maintenance.gc import collect
        from app.maintenance.orphans import find_orphans
        from app.storage.errors import BackupImpossible

        with open_library(settings) as opened:
            if dry_run:
                orphans: list[Orphan] | None = find_orphans(opened.catalog, opened.storage)
            else:
                orphans = collect(opened.catalog, opened.storage)
        if orphans is None:
            raise BackupImpossible("a backup is being made; nothing was removed, try again later")
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in orphans], indent=2))
        return
    console = output()
    if orphans:
        console.print(_orphan_table(orphans, _rows_shown(console)))
    verb = "could be" if dry_run else "were"
    console.print(f"{_bytes(sum(each.size_bytes for each in orphans))} {verb} removed.")


def backup(
    folder: Annotated[Path, typer.Argument(help="The folder to write; it must not exist yet.")],
) -> None:
    """Copy the whole library to a new folder, also while the service runs."""
    with _reported() as settings:
        from app.maintenance.backup import back_up

        with _progress("files copied") as progress:
            made = back_up(settings, folder, progress)
    console = output()
    console.print(plain(f"{folder} holds {made.files} files, {_bytes(made.size_bytes)}."))
    for path in made.missing:
        console.print(plain(f"missing, and so not in the backup: {path}"))
    raise typer.Exit(1 if made.missing else 0)


def restore(
    folder: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="A folder that backup made.")
    ],
) -> None:
    """Restore the data folder, which must be empty or not exist, from a backup."""
    with _reported() as settings:
        from app.maintenance.restore import restore as restore_folder

        with _progress("files restored") as progress:
            manifest = restore_folder(folder, settings, progress)
    count = len(manifest.files)
    output().print(
        plain(
            f"{settings.data_dir} is as it was at {manifest.created_at}: {count} files, all intact."
        )
    )


def adopt(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Pair a data folder with a catalog that is not its own, after a restore in part."""
    with _reported() as settings:
        from app.catalog import Catalog
        from app.maintenance.adoption import compare_folder
        from app.storage.library_identity import adopt as adopt_folder
        from app.storage.library_identity import check_exists

        check_exists(settings)  # what the catalog holds is for compare_folder to say
        with Catalog.open(settings.catalog_url) as catalog:
            found = compare_folder(catalog, settings)
            typer.echo(
                f"The catalog knows {found.videos} videos; the files of {found.missing} are not "
                f"in {settings.data_dir}. The folder holds {found.unknown} files that the catalog "
                "does not know; gc would remove them for good."
            )
            if not yes and not typer.confirm("Pair them?"):
                raise typer.Exit(1)
            adopt_folder(catalog, settings.layout)
    typer.echo("They are a pair now. xclip-search verify says what is missing.")


def _show(report: Report, repairs: Repairs | None, console: Console) -> None:
    if report.damage:
        console.print(_damage_table(report, _rows_shown(console)))
    if report.orphans:
        console.print(_orphan_table(report.orphans, _rows_shown(console)))
        console.print("Orphans are not damage; xclip-search gc removes them.")
    if report.pending_removals:
        console.print(f"{report.pending_removals} removals are pending; the service runs them.")
    checked = f"{report.videos} videos and {report.segments} segments"
    if not report.damage:
        console.print(f"Nothing is damaged in {checked}.")
        return
    counts = Counter(each.kind for each in report.damage)
    listed = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    console.print(f"Damaged in {checked}: {listed}.")
    if repairs is None:
        console.print("--repair rebuilds everything whose video is intact.")
    else:
        console.print(
            f"{len(repairs.queued)} videos are ingested again and stay as they are until then. "
            f"{len(repairs.beyond)} findings cannot be repaired this way."
        )
        for finding in repairs.beyond:
            console.print(plain(f"not repaired: {finding.kind} of {finding.subject}"))


def _rows_shown(console: Console) -> int:
    """How many rows of a table are printed: a pipe gets all."""
    return SHOWN if console.is_terminal else sys.maxsize


def _damage_table(report: Report, most: int) -> Listing:
    table = Listing("damage", "of", "what is wrong")
    for finding in report.damage[:most]:
        table.add_row(finding.kind, plain(finding.subject), plain(finding.message))
    if len(report.damage) > most:
        table.add_row("…", f"{len(report.damage) - most} more", "")
    return table


def _orphan_table(orphans: Sequence[Orphan], most: int) -> Listing:
    table = Listing("orphan", "name", "size>")
    for each in orphans[:most]:
        size = Cell(Text(_bytes(each.size_bytes)), str(each.size_bytes))
        table.add_row(each.kind, plain(each.name), size)
    if len(orphans) > most:
        table.add_row("…", f"{len(orphans) - most} more", "")
    return table


def _bytes(count: int) -> str:
    kibibytes = round(count / (1 << 10))
    return f"{kibibytes} KiB" if kibibytes < 1 << 10 else f"{count / (1 << 20):.1f} MiB"


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """A count that goes up on a terminal's standard error; nothing anywhere else."""
    with errors().status("") as status:
        yield lambda count: status.update(f"{count} {what}")


@contextmanager
def _reported() -> Iterator[Settings]:
    """The settings; an error that the operator can fix ends with one line and a status."""
    from app.catalog.errors import DATABASE_ERRORS, CatalogError
    from app.settings import load_settings
    from app.storage.errors import MaintenanceError

    with reported(MaintenanceError, CatalogError, database=DATABASE_ERRORS):
        yield load_settings(os.environ)
