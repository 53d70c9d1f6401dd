"""Key commands: `keys` makes, lists and revokes API keys, with or without a running service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.errors import reported
from app.clock import SystemClock
from app.ids import DIGITS
from app.settings import load_settings

if TYPE_CHECKING:
    from app.catalog import Catalog

DAY_S = 24 * 3600.0

ID_WIDTH = len("key_") + DIGITS
_WIDE = 100  # columns of a terminal that has room for the day a key was made


def register(cli: typer.Typer, *, epilog: str) -> None:
    """Add the command and what it can do; `epilog` ends its help."""
    keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True, epilog=epilog)
    keys.command("create")(create)
    keys.command("list")(list_)
    keys.command("revoke")(revoke)
    cli.add_typer(keys, name="keys", rich_help_panel="Service")


def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, or what it is for.")],
    scope: Annotated[
        Literal["read", "write", "admin"],
        typer.Option(help="read: search and look; write: also upload and delete; admin: all."),
    ],
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="The default is in the settings.")
    ] = None,
    concurrent: Annotated[
        int | None, typer.Option(min=1, help="Requests at once; the default is in the settings.")
    ] = None,
    expires_days: Annotated[
        float | None, typer.Option(min=0, help="Days until the key expires; by default never.")
    ] = None,
) -> None:
    """Make a key and print it once: only a hash of it is stored."""
    from app.security.api_keys import create_key  # late: clients of the service need no database

    with _catalog(make=True) as catalog:
        key, text = create_key(
            catalog,
            name,
            scope,
            requests_per_minute=requests_per_minute,
            concurrent_requests=concurrent,
            expires_in_s=None if expires_days is None else expires_days * DAY_S,
        )
        is_first = len(catalog.keys_in_force()) == 1
    typer.echo(text)
    note = f"This is {key.id}. It is shown this once; keep it where secrets are kept."
    if is_first:
        note += " From now on every request needs a key."
    typer.echo(note, err=True)


def list_() -> None:
    """List every key, also revoked ones, without its secret."""
    with _catalog() as catalog:
        keys = catalog.list_keys()
    now = SystemClock().now()
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("id", no_wrap=True, min_width=ID_WIDTH)  # to be copied whole into `revoke`
    table.add_column("name", overflow="fold", min_width=len("name"))
    for head in ("scope", "a minute", "at once"):
        table.add_column(head, no_wrap=True)
    table.add_column("state", min_width=len(f"{now:%Y-%m-%d}"))
    is_wide = console.width >= _WIDE
    if is_wide:
        table.add_column("made", no_wrap=True)
    for key in keys:
        state = "in force"
        if key.revoked_at is not None:
            state = f"revoked {key.revoked_at:%Y-%m-%d}"
        elif key.expires_at is not None:
            state = f"{'expired' if key.is_expired(now) else 'until'} {key.expires_at:%Y-%m-%d}"
        cells = (key.id, key.name, key.scope, _limit(key.requests_per_minute))
        made = (f"{key.created_at:%Y-%m-%d}",) if is_wide else ()
        more = (_limit(key.concurrent_requests), state, *made)
        table.add_row(*(Text(cell) for cell in (*cells, *more)))
    console.print(table)


def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `keys list` shows it.")],
) -> None:
    """Revoke a key for good; a running service refuses it within seconds."""
    with _catalog() as catalog:
        key = catalog.revoke_key(key_id)
        left = catalog.keys_in_force()
    typer.echo(f"{key.id} ({key.name}) is revoked.")
    if not left:
        typer.echo(
            "It was the last one. A service on a loopback address needs no key from now on; one "
            "that others can reach refuses every request.",
            err=True,
        )


def _limit(number: int | None) -> str:
    return "—" if number is None else str(number)


@contextmanager
def _catalog(*, make: bool = False) -> Iterator[Catalog]:
    """The catalog that the settings name; an error that the operator can fix is one line.

    make : whether a new one is made where there is none
    """
    from app.catalog.errors import DATABASE_ERRORS, CatalogError
    from app.storage.errors import MaintenanceError
    from app.storage.library_identity import check_library, open_catalog

    with reported(CatalogError, MaintenanceError, database=DATABASE_ERRORS):
        settings = load_settings(os.environ)
        if not make:
            check_library(settings)
        with open_catalog(settings) as catalog:
            yield catalog
