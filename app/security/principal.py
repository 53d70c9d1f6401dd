"""Principal: the caller that a request comes from."""

from __future__ import annotations

from dataclasses import dataclass

from app.catalog.api_keys import Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """A key's owner, at `request.state.caller`; None for a client without a key."""

    id: str
    name: str
    scope: Scope
    at_once: int | None = None
    """How many of its requests may be served at once; None: no limit."""


# Without keys, every client of the service is this principal.
ANONYMOUS = Principal("anonymous", "anonymous", "admin")
