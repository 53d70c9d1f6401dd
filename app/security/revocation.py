"""Key revocation: ends the requests that a key still has open once it is revoked or expires.

Whether a request may be served is decided when it begins, and some take hours: an upload, a stream
of events, a download. One task looks at the keys of all open requests at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import anyio

from app.catalog.errors import DATABASE_ERRORS
from app.clock import Clock
from app.security.api_keys import KeyRing
from app.security.errors import KeyInvalid
from app.security.principal import ANONYMOUS, Principal

LOOK_EVERY_S: Final = 0.2  # with the age that read keys may have, an end comes within a second


class RevocationWatch:
    """The open requests of each key, and the task that ends them."""

    def __init__(self, ring: KeyRing, clock: Clock) -> None:
        self._ring = ring
        self._clock = clock
        self._open: dict[str, set[anyio.CancelScope]] = {}

    @contextmanager
    def while_in_force(self, caller: Principal | None) -> Iterator[None]:
        """Cancel the block once the caller's key is no longer in force, and raise KeyInvalid."""
        if caller is None or caller is ANONYMOUS:
            yield
            return
        with anyio.CancelScope() as scope:
            scopes = self._open.setdefault(caller.id, set())
            scopes.add(scope)
            try:
                yield
            finally:
                scopes.discard(scope)
                if not scopes:
                    self._open.pop(caller.id, None)
        if scope.cancelled_caught:
            raise KeyInvalid("The key of this request was revoked or has expired.")

    async def run(self) -> None:
        """Look again and again; never ends by itself."""
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            if self._open:
                await self._look()

    async def _look(self) -> None:
        try:
            keys = await self._ring.current()
        except DATABASE_ERRORS:  # nothing is known: what was let in goes on
            return
        now = self._clock.now()
        for key_id, scopes in list(self._open.items()):
            key = keys.get(key_id)
            if key is None or key.is_expired(now):
                for scope in list(scopes):
                    scope.cancel()
