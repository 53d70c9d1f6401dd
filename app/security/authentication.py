"""Authentication: who sends a request, whether they may, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import anyio
from starlette.datastructures import Headers

from app.catalog import Catalog
from app.catalog.api_keys import ApiKey
from app.catalog.errors import DATABASE_ERRORS
from app.client_address import client_network
from app.clock import Clock
from app.security.access_table import MEDIA, Entrance, covers
from app.security.api_keys import KeyRing, owner_of
from app.security.csrf import SAFE_METHODS, is_cross_site, is_local_host
from app.security.errors import (
    CrossSite,
    HostNotAllowed,
    KeyInvalid,
    KeyMissing,
    KeysRequired,
    NoPolicy,
    RateLimited,
    ScopeMissing,
    TooManyConcurrent,
    TooManyWrongKeys,
)
from app.security.principal import ANONYMOUS, Principal
from app.security.rate_limits import ConcurrencyLimit, TokenBuckets
from app.security.revocation import RevocationWatch
from app.security.session import SECRET, Sessions
from app.settings import Settings
from xclip_search.addresses import is_loopback

PUBLIC_WAIT_S = 0.2  # for the database, on a public route
NO_POLICY = "No policy says who may use this route, so every request is refused."
_RETRY_CONCURRENT_S = 1.0


class Authenticator:
    """Authenticates and limits requests; one for the application, opened with it."""

    def __init__(self, catalog: Catalog, clock: Clock, settings: Settings) -> None:
        """Reads the keys, and blocks for that."""
        self._clock = clock
        self._settings = settings
        self._ring = KeyRing(catalog, clock)
        self.revocation = RevocationWatch(self._ring, clock)
        self.sessions = Sessions(catalog.secret(SECRET), clock)
        self._rates = TokenBuckets(clock)
        self._wrong_keys = TokenBuckets(clock)
        self._inside = ConcurrencyLimit()

    async def admit(
        self, entrance: Entrance | None, method: str, headers: Headers, address: str
    ) -> Principal | None:
        """The principal of a request; None for a client without a key on a public route.

        entrance : where the request goes; None if there is no such route
        Raises Refusal, and the database's errors when it is unknown which keys are in force.
        """
        if is_cross_site(method, headers, self._settings.hosts_allowed):
            raise CrossSite("Pages of other sites may link to this service, and nothing else.")
        if entrance is not None and entrance.need == "public":
            return await self._admit_public(entrance, method, headers, address)
        keys = await self._ring.current()
        if keys:
            key = self._owner(entrance, method, headers, address, keys)
            return self._admit_key(entrance, key)
        if not is_loopback(self._settings.host):
            raise KeysRequired(
                "Other machines reach this service, and its last key was revoked. Make one with "
                "`xclip-search keys create`."
            )
        return self._admit_without_keys(entrance, headers)

    @contextmanager
    def serving(self, caller: Principal | None) -> Iterator[None]:
        """Within the block a request of the caller is served. Raises TooManyConcurrent."""
        if caller is None:
            yield
            return
        if not self._inside.enter(caller.id, caller.at_once):
            message = f"The key {caller.name!r} may have {caller.at_once} requests served at once."
            raise TooManyConcurrent(message, _RETRY_CONCURRENT_S)
        try:
            yield
        finally:
            self._inside.leave(caller.id)

    async def _admit_public(
        self, entrance: Entrance, method: str, headers: Headers, address: str
    ) -> Principal | None:
        """Every client is let in: a wrong key does not change whether the service is alive."""
        with suppress(*DATABASE_ERRORS), anyio.move_on_after(PUBLIC_WAIT_S):
            await self._ring.current()
        keys = self._ring.latest
        if not keys:
            is_local = is_loopback(self._settings.host)
            return self._admit_without_keys(entrance, headers) if is_local else None
        try:
            key = self._owner(entrance, method, headers, address, keys)
        except (KeyInvalid, TooManyWrongKeys):
            return None
        return None if key is None else Principal(key.id, key.name, key.scope)

    def _admit_without_keys(self, entrance: Entrance | None, headers: Headers) -> Principal:
        """Without keys: admits clients on this machine, unless another site's page sent them."""
        if not is_local_host(headers, self._settings.hosts_allowed):
            raise HostNotAllowed(
                "Without keys this service answers only to localhost, to loopback addresses and "
                "to the names in XCLIP_ALLOWED_HOSTS."
            )
        if entrance is not None and entrance.need is None:
            raise NoPolicy(NO_POLICY)
        return ANONYMOUS

    def _owner(
        self,
        entrance: Entrance | None,
        method: str,
        headers: Headers,
        address: str,
        keys: Mapping[str, ApiKey],
    ) -> ApiKey | None:
        """The key of the request, sent itself or by its session; None if there is neither."""
        sent = headers.getlist("authorization")
        if not sent:
            is_media = entrance is not None and entrance.template in MEDIA
            cookies = headers.get("cookie") if is_media and method in SAFE_METHODS else None
            return None if cookies is None else self.sessions.owner_of(cookies, keys)
        scheme, _, text = sent[0].partition(" ")
        key = None
        if len(sent) == 1 and scheme.lower() == "bearer":
            key = owner_of(text.strip().encode(), keys, self._clock.now())
        if key is None:
            self._count_wrong_key(address)
            raise KeyInvalid("This key is not known, has expired or was revoked.")
        return key

    def _count_wrong_key(self, address: str) -> None:
        """Only wrong keys count: a valid key from the same address is always accepted."""
        per_minute = self._settings.wrong_keys_per_minute
        wait_s = self._wrong_keys.take(client_network(address), per_minute)
        if wait_s:
            raise TooManyWrongKeys("Too many wrong keys came from this address.", wait_s)

    def _admit_key(self, entrance: Entrance | None, key: ApiKey | None) -> Principal:
        if key is None:
            raise KeyMissing("Send a key: `Authorization: Bearer xclip_…`.")
        settings = self._settings
        per_minute = key.requests_per_minute or settings.key_requests_per_minute
        wait_s = self._rates.take(key.id, per_minute) if per_minute else 0.0
        if wait_s:
            raise RateLimited(f"The key {key.name!r} may send {per_minute} a minute.", wait_s)
        if entrance is not None:
            if entrance.need is None or entrance.need == "public":
                raise NoPolicy(NO_POLICY)
            if not covers(key.scope, entrance.need):
                raise ScopeMissing(f"This needs a key of scope {entrance.need}, not {key.scope}.")
        at_once = key.concurrent_requests or settings.key_concurrent_requests
        return Principal(key.id, key.name, key.scope, at_once)
