"""Authentication: who is let in where, in which order it is decided, and what is counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers

from app.catalog import Catalog
from app.route_table import RoutePolicy
from app.security.access_table import MEDIA, Entrance
from app.security.api_keys import create_key
from app.security.authentication import Authenticator
from app.security.errors import (
    CrossSite,
    HostNotAllowed,
    KeyInvalid,
    KeyMissing,
    KeysRequired,
    NoPolicy,
    RateLimited,
    ScopeMissing,
    SecurityError,
    TooManyConcurrent,
    TooManyWrongKeys,
)
from app.security.principal import ANONYMOUS, Principal
from app.security.session import COOKIE
from app.settings import Settings
from tests.app.catalog.samples import HandClock

MEDIUM = Entrance(min(MEDIA), RoutePolicy("read"), "GET")
ENTRANCES = {
    "public": Entrance("/livez", RoutePolicy("public"), "GET"),
    "read": Entrance("/v1/models", RoutePolicy("read"), "GET"),
    "write": Entrance("/v1/x", RoutePolicy("write"), "GET"),
    "admin": Entrance("/v1/y", RoutePolicy("admin"), "GET"),
    "forgotten": Entrance("/v1/z", None, "GET"),
    "nowhere": None,
}
WRONG = "Bearer xclip_" + "0" * 26 + "_" + "0" * 64


def open_authenticator(catalog: Catalog, clock: HandClock, **choices: Any) -> Authenticator:
    return Authenticator(catalog, clock, Settings(**choices))


def admit(
    authenticator: Authenticator,
    at: Entrance | None,
    key: str | None = None,
    *,
    method: str = "GET",
    address: str = "192.0.2.1",
    **headers: str,
) -> Principal | None:
    sent = {"host": "127.0.0.1"} | {name.replace("_", "-"): text for name, text in headers.items()}
    if key is not None:
        sent["authorization"] = key
    return asyncio.run(authenticator.admit(at, method, Headers(sent), address))


def outcome(*args: Any, **kwargs: Any) -> str | type[SecurityError] | None:
    """The caller's name, or what stands against it."""
    try:
        caller = admit(*args, **kwargs)
    except SecurityError as error:
        return type(error)
    return caller and caller.name


def bearer(catalog: Catalog, name: str = "a", scope: Any = "admin", **limits: Any) -> str:
    return f"Bearer {create_key(catalog, name, scope, **limits)[1]}"


# For each route above: without a key, with a wrong one, with one of scope read, write, admin.
TABLE = {
    "public": (None, None, "read", "write", "admin"),
    "read": (KeyMissing, KeyInvalid, "read", "write", "admin"),
    "write": (KeyMissing, KeyInvalid, ScopeMissing, "write", "admin"),
    "admin": (KeyMissing, KeyInvalid, ScopeMissing, ScopeMissing, "admin"),
    "forgotten": (KeyMissing, KeyInvalid, NoPolicy, NoPolicy, NoPolicy),
    "nowhere": (KeyMissing, KeyInvalid, "read", "write", "admin"),
}


@pytest.mark.parametrize("place", list(ENTRANCES))
def test_who_is_let_in_where(catalog: Catalog, clock: HandClock, place: str) -> None:
    """With keys: a table of every kind of route and every kind of caller."""
    scopes = ("read", "write", "admin")
    keys = [None, WRONG, *(bearer(catalog, scope, scope) for scope in scopes)]
    authenticator = open_authenticator(catalog, clock)
    assert tuple(outcome(authenticator, ENTRANCES[place], key) for key in keys) == TABLE[place]


@pytest.mark.parametrize("place", list(ENTRANCES))
@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", True), ("::1", True), ("::", False)])
def test_without_keys_this_machine_is_let_in(
    catalog: Catalog, clock: HandClock, place: str, host: str, local: bool
) -> None:
    """Everybody here is the administrator; where others reach the service nobody is."""
    authenticator = open_authenticator(catalog, clock, host=host)
    closed = None if place == "public" else KeysRequired
    here = NoPolicy if place == "forgotten" else ANONYMOUS.name
    assert outcome(authenticator, ENTRANCES[place]) == (here if local else closed)
    elsewhere = HostNotAllowed if local else closed
    assert outcome(authenticator, ENTRANCES[place], host="evil.example") == elsewhere


@pytest.mark.parametrize("place", list(ENTRANCES))
def test_a_page_of_another_site_is_refused_first(
    catalog: Catalog, clock: HandClock, place: str
) -> None:
    """Before any key is looked at, so that pages cannot try keys or use up a limit."""
    key = bearer(catalog, requests_per_minute=1)
    authenticator = open_authenticator(catalog, clock, wrong_keys_per_minute=1)
    for sent in (None, WRONG, WRONG, key, key):
        found = outcome(authenticator, ENTRANCES[place], sent, origin="https://evil.example")
        assert found is CrossSite
    assert outcome(authenticator, ENTRANCES["read"], key) == "a"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{scheme} {key}", "a"),
        ("bearer {key}", "a"),
        ("BEARER {key}", "a"),
        ("Bearer   {key}  ", "a"),
        ("Bearer", KeyInvalid),
        ("", KeyInvalid),
        ("{key}", KeyInvalid),
        ("Basic {key}", KeyInvalid),
        ("Bearer {key} {key}", KeyInvalid),
        ("Bearer: {key}", KeyInvalid),
        ("Bearer\t{key}", KeyInvalid),
        ("Bearer é{key}", KeyInvalid),
    ],
)
def test_a_key_is_shown_as_a_bearer_token(
    catalog: Catalog, clock: HandClock, text: str, found: str | type[SecurityError]
) -> None:
    """The scheme in any case; every other form is a wrong key, not a missing one."""
    scheme, key = bearer(catalog).split()
    authenticator = open_authenticator(catalog, clock)
    sent = text.format(scheme=scheme, key=key)
    assert outcome(authenticator, ENTRANCES["read"], sent) == found


def test_two_keys_are_none(catalog: Catalog, clock: HandClock) -> None:
    """A proxy might have looked at the other one, even if they are the same."""
    key = bearer(catalog).encode()
    headers = Headers(raw=[(b"host", b"localhost"), *[(b"authorization", key)] * 2])
    with pytest.raises(KeyInvalid):
        asyncio.run(
            open_authenticator(catalog, clock).admit(ENTRANCES["read"], "GET", headers, "x")
        )


@pytest.mark.parametrize(
    ("address", "neighbour", "counted_together"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("unknown", "unknown", True),
        ("unknown", "192.0.2.1", False),
        ("/run/socket", "", False),
    ],
)
def test_wrong_keys_are_counted_by_subscriber(
    catalog: Catalog, clock: HandClock, address: str, neighbour: str, counted_together: bool
) -> None:
    """One has an IPv4 address, in whichever writing, or a whole network of IPv6."""
    right = bearer(catalog)
    authenticator = open_authenticator(catalog, clock, wrong_keys_per_minute=2)
    tries = [outcome(authenticator, ENTRANCES["read"], WRONG, address=address) for _ in range(3)]
    assert tries == [KeyInvalid, KeyInvalid, TooManyWrongKeys]
    found = outcome(authenticator, ENTRANCES["read"], WRONG, address=neighbour)
    assert found is (TooManyWrongKeys if counted_together else KeyInvalid)
    assert outcome(authenticator, ENTRANCES["read"], right, address=address) == "a"
    assert outcome(authenticator, ENTRANCES["public"], WRONG, address=address) is None


@pytest.mark.parametrize(
    ("own", "general", "allowed"),
    [(None, None, 9), (None, 3, 3), (2, 3, 2), (4, 3, 4), (2, None, 2)],
)
def test_a_keys_own_limits_come_before_the_general_ones(
    catalog: Catalog, clock: HandClock, own: int | None, general: int | None, allowed: int
) -> None:
    """In a minute and at once alike; without either there is none."""
    key = bearer(catalog, requests_per_minute=own, concurrent_requests=own)
    authenticator = open_authenticator(
        catalog, clock, key_requests_per_minute=general, key_concurrent_requests=general
    )
    found = [outcome(authenticator, ENTRANCES["read"], key) for _ in range(9)]
    assert found == ["a"] * allowed + [RateLimited] * (9 - allowed)
    clock.advance(61)
    caller = admit(authenticator, ENTRANCES["read"], key)
    assert caller is not None
    assert caller.at_once == (None if allowed == 9 else allowed)


def test_requests_that_lead_nowhere_or_too_far_count_as_well(
    catalog: Catalog, clock: HandClock
) -> None:
    """Or a key could try what it may not do as often as it likes; probes are free."""
    key = bearer(catalog, "a", "read", requests_per_minute=2)
    authenticator = open_authenticator(catalog, clock)
    for _ in range(3):
        assert outcome(authenticator, ENTRANCES["public"], key) == "a"
    assert outcome(authenticator, ENTRANCES["admin"], key) is ScopeMissing
    assert outcome(authenticator, ENTRANCES["nowhere"], key) == "a"
    assert outcome(authenticator, ENTRANCES["admin"], key) is RateLimited


def test_a_session_stands_for_its_key_at_media_alone(catalog: Catalog, clock: HandClock) -> None:
    """By GET and HEAD, and not beside a key, which then counts alone."""
    created, _ = create_key(catalog, "a", "read")
    authenticator = open_authenticator(catalog, clock)
    cookie = f"{COOKIE}={authenticator.sessions.cookie(created.id)}"
    for method, found in (("GET", "a"), ("HEAD", "a"), ("POST", KeyMissing), ("get", KeyMissing)):
        assert outcome(authenticator, MEDIUM, method=method, cookie=cookie) == found
    for place in ("read", "admin", "forgotten", "nowhere"):
        assert outcome(authenticator, ENTRANCES[place], cookie=cookie) is KeyMissing
    assert outcome(authenticator, ENTRANCES["public"], cookie=cookie) is None
    assert outcome(authenticator, MEDIUM, WRONG, cookie=cookie) is KeyInvalid


def test_so_many_of_a_callers_requests_are_served_at_once(
    catalog: Catalog, clock: HandClock
) -> None:
    """A place is free again however a request ends; strangers have no limit here."""
    authenticator = open_authenticator(catalog, clock)
    caller = Principal("key_a", "a", "read", at_once=2)
    with authenticator.serving(caller), authenticator.serving(caller):
        with pytest.raises(TooManyConcurrent), authenticator.serving(caller):
            raise AssertionError
        with authenticator.serving(Principal("key_b", "b", "read", at_once=1)):
            pass
        with authenticator.serving(None), authenticator.serving(None):
            pass
    with pytest.raises(ZeroDivisionError), authenticator.serving(caller):
        raise ZeroDivisionError
    with authenticator.serving(caller), authenticator.serving(caller):
        pass
