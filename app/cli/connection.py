"""Client connection: how commands find the service, and how they end when it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from app.cli.errors import reported
from app.settings import KEY_VARIABLE, base_url, load_settings
from xclip_search import ApiError, Client

PANEL = "Clients"


def _complete_collection(incomplete: str) -> list[str]:
    """The names of collections with this prefix, from the service that the environment names."""
    try:
        with Client(service_url(None), os.environ.get(KEY_VARIABLE), patience_s=0) as client:
            return [c.name for c in client.collections() if c.name.startswith(incomplete)]
    except Exception:  # noqa: BLE001  a shell that completes shows no errors
        return []


Url = Annotated[
    str | None,
    typer.Option(
        help="The URL of the service. The default follows XCLIP_HOST and XCLIP_PORT.",
        show_default="http://127.0.0.1:8000",
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
    with reported(ApiError), Client(service_url(url), key, **choices) as client:
        yield client


def service_url(url: str | None) -> str:
    """The URL given, or the one that the settings describe; raises SettingsError."""
    if url is not None:
        return url
    settings = load_settings(os.environ)
    return base_url(settings.host, settings.port)


def json_object(option: str, text: str) -> dict[str, Any]:
    """Parse an option whose value must be a JSON object; raises BadParameter."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{option} {text!r} is not a JSON object")
    return value
