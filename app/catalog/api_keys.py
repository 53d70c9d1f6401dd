"""API keys in the catalog: scopes and limits of each; only hashes of the secrets are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import Row, insert, select, update

from app.catalog.errors import KeyNotFound
from app.catalog.sql import tables
from app.catalog.transactions import Transactions

Scope: TypeAlias = Literal["read", "write", "admin"]

_KEYS = tables.api_keys


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key. `hash` is the SHA-256 of its secret; limits that are None are the settings'."""

    id: str
    name: str
    hash: bytes
    scope: Scope
    requests_per_minute: int | None
    concurrent_requests: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


class Keys(Transactions):
    """The keys of the service."""

    def create_key(
        self,
        name: str,
        scope: Scope,
        digest: bytes,
        *,
        requests_per_minute: int | None = None,
        concurrent_requests: int | None = None,
        expires_in_s: float | None = None,
    ) -> ApiKey:
        """Add a key whose secret has this SHA-256."""
        key = ApiKey(
            id=self._new_id("key"),
            name=name,
            hash=digest,
            scope=scope,
            requests_per_minute=requests_per_minute,
            concurrent_requests=concurrent_requests,
            created_at=self._now(),
            expires_at=None if expires_in_s is None else self._in(expires_in_s),
            revoked_at=None,
        )
        with self._write() as connection:
            values = {column: getattr(key, column) for column in _KEYS.c.keys()}  # noqa: SIM118
            connection.execute(insert(_KEYS).values(**values))
        return key

    def list_keys(self) -> list[ApiKey]:
        """Every key, also revoked ones, the oldest first."""
        with self._read() as connection:
            return [_key(row) for row in connection.execute(select(_KEYS).order_by(_KEYS.c.id))]

    def keys_in_force(self) -> list[ApiKey]:
        """The keys that have not been revoked, expired ones among them."""
        wanted = select(_KEYS).where(_KEYS.c.revoked_at.is_(None))
        with self._read() as connection:
            return [_key(row) for row in connection.execute(wanted)]

    def revoke_key(self, key_id: str) -> ApiKey:
        """Take a key out of force; to do so again changes nothing. Raises KeyNotFound."""
        of_id = _KEYS.c.id == key_id
        with self._write() as connection:
            connection.execute(
                update(_KEYS)
                .where(of_id, _KEYS.c.revoked_at.is_(None))
                .values(revoked_at=self._now())
            )
            row = connection.execute(select(_KEYS).where(of_id)).one_or_none()
        if row is None:
            raise KeyNotFound(f"no key {key_id!r}")
        return _key(row)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(**{**row._mapping, "hash": bytes(row.hash)})  # noqa: SLF001  its public name
