"""The application's doors with real keys; no worker stands behind them, for none is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from app.catalog import Catalog
from app.clock import Clock, SystemClock
from app.main import create_app
from app.security.api_keys import create_key
from app.settings import Settings

HERE = "http://127.0.0.1"
SCOPES = ("read", "write", "admin")


def new_key(catalog: Catalog, scope: Any = "admin", **choices: Any) -> dict[str, str]:
    """The header that shows a new key."""
    return {"authorization": f"Bearer {create_key(catalog, 'test', scope, **choices)[1]}"}


@dataclass(frozen=True)
class Doors:
    """A client of the application, and the catalog beside it, as the command line opens it."""

    api: TestClient
    catalog: Catalog
    keys: dict[str, dict[str, str]]
    """A key of each scope, as headers; none without keys."""


@contextmanager
def open_doors(
    folder: Path, *, clock: Clock | None = None, keyed: bool = True, **choices: Any
) -> Iterator[Doors]:
    """The application over `folder`; `keyed` has keys before it starts."""
    settings = Settings(data_dir=folder, worker_url="http://127.0.0.1:9", threads=1, **choices)
    with Catalog.open(settings.catalog_url, clock=clock or SystemClock()) as catalog:
        keys = {scope: new_key(catalog, scope) for scope in SCOPES if keyed}
        app = create_app(settings, clock=clock)
        with TestClient(app, HERE, raise_server_exceptions=False) as api:
            yield Doors(api, catalog, keys)
