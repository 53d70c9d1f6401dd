"""Session cookies: whose they are, until when, and that only whole ones count."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog.api_keys import ApiKey
from app.security.session import COOKIE, LIFE_S, Sessions
from tests.app.catalog.samples import HandClock

SECRET = b"a secret of the catalog"
CLOCK = HandClock()
KEY = ApiKey("key_a", "a", bytes(32), "read", None, None, CLOCK.now(), None, None)
OTHER = replace(KEY, id="key_b", name="b")
KEYS = {key.id: key for key in (KEY, OTHER)}


def sessions(clock: HandClock | None = None) -> Sessions:
    return Sessions(SECRET, clock or HandClock())


VALUE = sessions().cookie(KEY.id)
SENT = f"{COOKIE}={VALUE}"


@pytest.mark.parametrize(
    "neighbour",
    [
        "a=b",
        "=",
        "flag",
        "x=a b",
        'prefs={"dark":true}',
        "path=/",
        "version=1",
        "expires=soon",
        "list[0]=1",
        "naïve=é",
        "a==b=",
        'quoted="a b"',
        "",
        "\x00\x01",
        f"not_{COOKIE}=1",
        f"{COOKIE}_2=1",
        COOKIE,
    ],
)
def test_a_neighbours_cookie_does_not_hide_the_session(neighbour: str) -> None:
    """Services on other ports of the machine set cookies too, in forms of their own."""
    for header in (f"{neighbour}; {SENT}", f"{SENT}; {neighbour}", f"{neighbour};{SENT};"):
        assert sessions().owner_of(header, KEYS) == KEY


@pytest.mark.parametrize(
    ("after_s", "found"), [(-LIFE_S, True), (0, True), (LIFE_S - 1, True), (LIFE_S, False)]
)
def test_it_lasts_twelve_hours_to_the_second(after_s: int, found: bool) -> None:
    """The end itself is too late; a clock that was set back costs nobody the session."""
    clock = HandClock(CLOCK.now().replace(microsecond=0))
    clock.advance(after_s)
    assert (sessions(clock).owner_of(SENT, KEYS) is not None) == found


def test_it_ends_with_its_key() -> None:
    """A key that has expired, or is no longer in force, takes its sessions along."""
    end = CLOCK.now() + timedelta(seconds=10)
    expiring = {KEY.id: replace(KEY, expires_at=end)}
    clock = HandClock()
    clock.advance(9.999)
    assert sessions(clock).owner_of(SENT, expiring) is not None
    clock.advance(0.001)
    assert sessions(clock).owner_of(SENT, expiring) is None
    assert sessions().owner_of(SENT, {OTHER.id: OTHER}) is None


@settings(max_examples=60)
@given(st.integers(0, len(VALUE) - 1), st.characters(codec="latin-1", exclude_characters=";\\"))
def test_changing_any_character_makes_it_nobodys(place: int, character: str) -> None:
    """Id, end and signature hold together: none of them can be moved by one."""
    changed = VALUE[:place] + character + VALUE[place + 1 :]
    owner = sessions().owner_of(f"{COOKIE}={changed}", KEYS)
    assert (owner is not None) == (changed.strip() == VALUE)


@given(st.text(st.characters(codec="latin-1")))
def test_no_header_breaks_the_reading(header: str) -> None:
    """Whatever a client sends as cookies, it is nobody's session, and no error."""
    assert sessions().owner_of(header, KEYS) is None
    assert sessions().owner_of(f"{COOKIE}={header}", KEYS) is None


def test_another_catalogs_session_is_nobodys() -> None:
    """The secret signs it, so a cookie of another installation opens nothing here."""
    elsewhere = Sessions(b"another secret", HandClock()).cookie(KEY.id)
    assert sessions().owner_of(f"{COOKIE}={elsewhere}", KEYS) is None
