"""Principal: the caller that a request comes from."""

from __future__ import annotations

from dataclasses import dataclass

from app.catalog.api_keys import Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """A key's owner, at `request.state.caller`; None there is a stranger at a public route."""

    id: str
    name: str
    scope: Scope
    at_once: int | None = None
    """How many of its requests may be served at once; None is any number."""


# As long as there are no keys, everybody who reaches the service is this one.
ANONYMOUS = Principal("anonymous", "anonymous", "admin")
