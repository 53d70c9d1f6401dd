"""API keys: how a key is written, and which key a request carries.

A key reads `xclip_<id>_<secret>`: the id names a row of the catalog, the secret is 32 random bytes
in hexadecimal, of which only the SHA-256 is kept. A slow hash would protect passwords that people
choose, because it makes guesses expensive. One of 2²⁵⁶ secrets cannot be guessed, and a slow hash
before every request would be a way to overload the service.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from datetime import datetime

import anyio
import anyio.to_thread

from app.catalog import Catalog
from app.catalog.api_keys import ApiKey, Scope
from app.clock import Clock

SECRET_BYTES = 32
FRESH_S = 0.5
_ID_PREFIX = "key_"
_FORM = re.compile(rb"xclip_([0-9a-z]{26})_([0-9a-f]{64})")
_NO_HASH = bytes(32)  # no secret is known to have this SHA-256


def create_key(
    catalog: Catalog,
    name: str,
    scope: Scope,
    *,
    requests_per_minute: int | None = None,
    concurrent_requests: int | None = None,
    expires_in_s: float | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its text, which only this call ever returns."""
    secret = os.urandom(SECRET_BYTES).hex()
    key = catalog.create_key(
        name,
        scope,
        _digest(secret.encode()),
        requests_per_minute=requests_per_minute,
        concurrent_requests=concurrent_requests,
        expires_in_s=expires_in_s,
    )
    return key, f"xclip_{key.id.removeprefix(_ID_PREFIX)}_{secret}"


def owner_of(text: bytes, keys: Mapping[str, ApiKey], now: datetime) -> ApiKey | None:
    """The key of `keys` that `text` is; None if there is none or it has expired.

    Constant time: an unknown id is compared with a digest like a known one.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        return None
    key = keys.get(_ID_PREFIX + form[1].decode())
    is_secret = hmac.compare_digest(_digest(form[2]), _NO_HASH if key is None else key.hash)
    return None if key is None or not is_secret or key.is_expired(now) else key


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


class KeyRing:
    """The keys in force, read again when they are more than half a second old.

    So a key that any process creates or revokes takes effect within about a second.
    """

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        """Reads the keys a first time, and blocks for that."""
        self._catalog = catalog
        self._clock = clock
        self._lock = anyio.Lock()
        # Not the shared pool, which may be full of requests that were let in before.
        self._threads = anyio.CapacityLimiter(1)
        self._read_at = clock.monotonic()
        self.latest = self._read()
        """The keys by id as last read, however old."""

    async def current(self) -> Mapping[str, ApiKey]:
        """The keys by id. Raises the database's errors when they are old and cannot be read."""
        if self._is_old():
            async with self._lock:
                if self._is_old():  # no other request has read them meanwhile
                    now = self._clock.monotonic()
                    self.latest = await anyio.to_thread.run_sync(
                        self._read, limiter=self._threads, abandon_on_cancel=True
                    )
                    self._read_at = now
        return self.latest

    def _is_old(self) -> bool:
        return self._clock.monotonic() - self._read_at > FRESH_S

    def _read(self) -> Mapping[str, ApiKey]:
        return {key.id: key for key in self._catalog.keys_in_force()}
