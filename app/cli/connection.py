"""Client connection: how commands find the service, and how they end when it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.errors import reported
from app.service_urls import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    KEY_VARIABLE,
    URL_VARIABLE,
    base_url,
    check_url,
)

if TYPE_CHECKING:
    from xclip_search import Client


def default_url(environ: Mapping[str, str]) -> str:
    """Where a service with this environment listens, unchecked and without secrets."""
    if url := environ.get(URL_VARIABLE):
        from xclip_search.addresses import without_secrets  # late: it brings the client with it

        return without_secrets(url)
    host = environ.get("XCLIP_HOST") or DEFAULT_HOST
    return base_url(host, environ.get("XCLIP_PORT") or DEFAULT_PORT)


def _complete_collection(incomplete: str) -> list[str]:
    """The names of collections with this prefix, from the service that the environment names."""
    from xclip_search import Client  # late here and below: the help needs no client

    try:
        with Client(service_url(None), os.environ.get(KEY_VARIABLE), patience_s=0) as client:
            return [c.name for c in client.collections() if c.name.startswith(incomplete)]
    except Exception:  # noqa: BLE001  a shell that completes shows no errors
        return []


Url = Annotated[
    str | None,
    typer.Option(
        help=f"The URL of the service; {default_url(os.environ)} by XCLIP_URL, or by XCLIP_HOST "
        "and XCLIP_PORT."
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        envvar=KEY_VARIABLE, help="The API key. The environment variable is safer than the option."
    ),
]
Collection = Annotated[
    str,
    typer.Option(help="The collection to work in.", autocompletion=_complete_collection),
]
CollectionName = Annotated[
    str, typer.Argument(help="The collection.", autocompletion=_complete_collection)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the service's answer.")]


@contextmanager
def connected(url: str | None, key: str | None, **choices: Any) -> Iterator[Client]:
    """A client of the service; a refusal is one line and status 1, no traceback."""
    from xclip_search import ApiError, Client

    with reported(ApiError), Client(service_url(url), key, **choices) as client:
        yield client


def service_url(url: str | None) -> str:
    """The URL given, that of XCLIP_URL, or the one that the settings describe.

    Raises SettingsError, and BadParameter if what was given cannot be a URL.
    """
    if url is not None:
        return _with_scheme("--url", url)
    if by_variable := os.environ.get(URL_VARIABLE):
        return _with_scheme(URL_VARIABLE, by_variable)
    from app.settings import load_settings

    settings = load_settings(os.environ)
    return base_url(settings.host, settings.port)


def _with_scheme(source: str, url: str) -> str:
    """The URL that `source` gives, with http:// if it has no scheme. Raises BadParameter."""
    if not url:
        raise typer.BadParameter("--url is empty; leave it out for the default")
    given = url if "://" in url else f"http://{url}"
    if given.partition("://")[0].lower() not in ("http", "https"):
        from xclip_search.addresses import without_secrets

        raise typer.BadParameter(
            f"{source} {without_secrets(given)!r} must begin with http:// or https://"
        )
    try:
        check_url(given)
    except ValueError as error:
        raise typer.BadParameter(f"{source}: {error}") from None
    return given


def json_object(option: str, text: str) -> dict[str, Any]:
    """Parse an option whose value must be a JSON object; raises BadParameter."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{option} {text!r} is not a JSON object")
    return value
