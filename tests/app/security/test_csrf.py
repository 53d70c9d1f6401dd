"""CSRF and DNS rebinding: which pages' requests are let in, and which names are this machine's."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.security.csrf import is_cross_site, is_local_host

ALLOWED = frozenset({"clips.example.org"})
SITES = ("same-origin", "same-site", "cross-site", "none", "None", "unheard-of", None)
MODES = ("navigate", "no-cors", "cors", "websocket", None)
ORIGINS = (
    "http://here:8000",
    "https://here:8000",
    "http://here",
    "http://here:8001",
    "http://evil.example",
    "http://clips.example.org",
    "https://CLIPS.example.org:444",
    "http://clips.example.org.evil",
    "http://evil.example/clips.example.org",
    "http://clips.example.org@evil.example",
    "http://[",
    "null",
    "",
    None,
)
# What the rule lets pass, told once more in sets: pages of these origins are ours or allowed.
OWN = {"http://here:8000", "https://here:8000"}
FRIENDS = {"http://clips.example.org", "https://CLIPS.example.org:444"}


def headers(**named: str | None) -> Headers:
    sent = {name.replace("_", "-"): value for name, value in named.items() if value is not None}
    return Headers(sent)


def expected(method: str, site: str | None, mode: str | None, origin: str | None) -> bool:
    """The rule as a table: a browser's own word first, then the origin it names."""
    if origin in FRIENDS:
        return False
    match site:
        case "same-origin":
            return False
        case "same-site" | "cross-site":
            return not (method in ("GET", "HEAD") and mode == "navigate")
        case _:
            return origin is not None and origin not in OWN


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_every_combination_of_what_a_browser_says_is_judged_by_the_table(method: str) -> None:
    """From another site links alone lead here; what no browser sent is let in."""
    for site, mode, origin in product(SITES, MODES, ORIGINS):
        sent = headers(host="here:8000", origin=origin, sec_fetch_site=site, sec_fetch_mode=mode)
        judged = is_cross_site(method, sent, ALLOWED)
        assert judged == expected(method, site, mode, origin), (site, mode, origin)


@pytest.mark.parametrize("origin", [origin for origin in ORIGINS if origin is not None])
def test_an_origin_is_another_site_where_the_request_names_no_host(origin: str) -> None:
    """HTTP/1.0 needs no Host, and the empty and the opaque origin equal none of it."""
    assert is_cross_site("POST", headers(origin=origin), ALLOWED) == (origin not in FRIENDS)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("127.0.0.1", True),
        ("127.0.0.1:8000", True),
        ("127.255.255.254", True),
        ("[::1]", True),
        ("[::1]:8000", True),
        ("clips.example.org", True),
        ("Clips.Example.ORG:1", True),
        ("128.0.0.1", False),
        ("126.255.255.255", False),
        ("[::2]", False),
        ("0.0.0.0", False),
        ("localhost.", False),
        ("xlocalhost", False),
        ("localhost.evil.example", False),
        ("clips.example.org.evil", False),
        ("127.0.0.1.evil.example", False),
        ("2130706433", False),
        ("0x7f.1", False),
        ("127.1", False),
        ("localhost@evil.example", False),
        ("evil.example#localhost", False),
        ("evil.example?localhost", False),
        ("evil.example/localhost", False),
        ("[::1", False),
        ("[]", False),
        ("::1", False),
        (":8000", False),
        ("", False),
        ("１２７.0.0.1", False),
        ("ⓛocalhost", False),
    ],
)
def test_a_name_is_this_machines_only_as_a_whole(host: str, local: bool) -> None:
    """No spelling around a good name makes another one good, and odd numbers are not resolved."""
    scope = {"type": "http", "headers": [(b"host", host.encode())]}
    assert is_local_host(Headers(scope=scope), ALLOWED) == local


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_a_request_names_one_host(hosts: list[str]) -> None:
    """With none or with two, proxy and service might read a different one."""
    assert not is_local_host(Headers(raw=[(b"host", each.encode()) for each in hosts]), ALLOWED)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_bytes_break_the_check_and_none_are_let_in_by_chance(host: bytes, origin: bytes) -> None:
    """Any header has an answer; without an allowed name only loopback is local."""
    sent = Headers(raw=[(b"host", host), (b"origin", origin)])
    if is_local_host(sent, frozenset()):
        assert b"localhost" in host.lower() or b"127." in host or b"1" in host
    if origin.partition(b"://")[2] != host:
        assert is_cross_site("POST", sent, frozenset())
