"""Key commands: `keys` makes, lists and revokes API keys, with or without a running service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.errors import reported
from app.cli.output import Listing, optional, output, plain
from app.clock import SystemClock

if TYPE_CHECKING:
    from app.catalog import Catalog

DAY_S = 24 * 3600.0

_WIDE = 100  # columns of a terminal that has room for the day a key was made


def register(cli: typer.Typer) -> None:
    """Add the command and what it can do."""
    keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
    keys.command("create")(create)
    keys.command("list")(list_)
    keys.command("revoke")(revoke)
    cli.add_typer(keys, name="keys")


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
    console = output()
    has_room = console.width >= _WIDE or not console.is_terminal
    made_head = ("=made",) if has_room else ()
    table = Listing("=id", "name", "=scope", "=a minute", "=at once", "state", *made_head)
    table.columns[0].min_width = len(keys[0].id) if keys else None  # is copied whole into `revoke`
    table.columns[1].min_width = len("name")
    table.columns[5].min_width = len(f"{now:%Y-%m-%d}")
    for key in keys:
        state = "in force"
        if key.revoked_at is not None:
            state = f"revoked {key.revoked_at:%Y-%m-%d}"
        elif key.expires_at is not None:
            state = f"{'expired' if key.is_expired(now) else 'until'} {key.expires_at:%Y-%m-%d}"
        limits = (optional(key.requests_per_minute), optional(key.concurrent_requests))
        made = (f"{key.created_at:%Y-%m-%d}",) if has_room else ()
        table.add_row(key.id, plain(key.name), key.scope, *limits, state, *made)
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


@contextmanager
def _catalog(*, make: bool = False) -> Iterator[Catalog]:
    """The catalog that the settings name; an error that the operator can fix is one line.

    make : whether a new one is made where there is none
    """
    from app.catalog.errors import DATABASE_ERRORS, CatalogError
    from app.settings import load_settings
    from app.storage.errors import MaintenanceError
    from app.storage.library_identity import check_library, note_progress, open_catalog

    with reported(CatalogError, MaintenanceError, database=DATABASE_ERRORS):
        settings = load_settings(os.environ)
        if not make:
            check_library(settings)
        with open_catalog(settings) as catalog:
            yield catalog
            note_progress(catalog, settings.layout)
