"""API keys: which text is which key, and how old the list of keys may be."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from app.catalog import Catalog
from app.catalog.api_keys import ApiKey
from app.security.api_keys import FRESH_S, KeyRing, create_key, owner_of
from tests.app.catalog.samples import HandClock

TEXT = b"xclip_" + b"0" * 26 + b"_" + b"f" * 64


class WatchedCatalog:
    """The real catalog, whose reads are counted, may be held up, and may fail."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.reads = 0
        self.failing = False
        self.reading = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def keys_in_force(self) -> Sequence[ApiKey]:
        self.reads += 1
        self.reading.set()
        assert self.go.wait(60)
        if self.failing:
            raise OperationalError("SELECT", {}, Exception("gone"))
        return self._catalog.keys_in_force()


def ring_of(catalog: WatchedCatalog, clock: HandClock) -> KeyRing:
    return KeyRing(catalog, clock)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "read_again"), [(0.0, False), (FRESH_S, False), (FRESH_S + 0.001, True)]
)
def test_keys_are_believed_for_a_second(
    catalog: Catalog, clock: HandClock, seconds: float, read_again: bool
) -> None:
    """A key made meanwhile is found once the second is over, and not before."""
    clock.time = clock.time.replace(microsecond=0)
    ring = ring_of(WatchedCatalog(catalog), clock)
    key, _ = create_key(catalog, "new", "read")
    clock.advance(seconds)

    async def scenario() -> None:
        assert (key.id in await ring.current()) == read_again

    anyio.run(scenario)


def test_many_requests_at_once_read_the_keys_once(catalog: Catalog, clock: HandClock) -> None:
    """All that find the list old wait for the same read."""
    watched = WatchedCatalog(catalog)
    ring = ring_of(watched, clock)
    key, _ = create_key(catalog, "a", "read")
    clock.advance(2)
    watched.go.clear()
    watched.reading.clear()
    found = []

    async def ask() -> None:
        found.append(await ring.current())

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask)
            await anyio.to_thread.run_sync(watched.reading.wait)
            watched.go.set()

    anyio.run(scenario)
    assert [list(keys) for keys in found] == [[key.id]] * 50
    assert watched.reads == 2  # one of them at the start


def test_a_slow_read_is_as_old_as_its_beginning(catalog: Catalog, clock: HandClock) -> None:
    """A read that took a second may have missed a key revoked meanwhile, so it is not believed."""
    watched = WatchedCatalog(catalog)
    ring = ring_of(watched, clock)
    clock.advance(2)
    watched.go.clear()
    watched.reading.clear()

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(ring.current)
            await anyio.to_thread.run_sync(watched.reading.wait)
            clock.advance(FRESH_S + 0.001)
            watched.go.set()
        await ring.current()

    anyio.run(scenario)
    assert watched.reads == 3


def test_a_failed_read_leaves_the_old_keys_and_is_tried_again(
    catalog: Catalog, clock: HandClock
) -> None:
    """Every caller hears of it, the public routes still know who was who, and a cure is seen."""
    key, _ = create_key(catalog, "a", "read")
    watched = WatchedCatalog(catalog)
    ring = ring_of(watched, clock)
    clock.advance(2)
    watched.failing = True

    async def scenario() -> None:
        for _ in range(2):
            with pytest.raises(OperationalError):
                await ring.current()
            assert list(ring.latest) == [key.id]
        catalog.revoke_key(key.id)
        watched.failing = False
        assert await ring.current() == {}

    anyio.run(scenario)


def test_a_caller_that_gives_up_does_not_stop_those_behind_it(
    catalog: Catalog, clock: HandClock
) -> None:
    """A probe waits a fraction of a second; who needs the keys gets them when the disk is back."""
    key, _ = create_key(catalog, "a", "read")
    watched = WatchedCatalog(catalog)
    ring = ring_of(watched, clock)
    clock.advance(2)
    watched.go.clear()
    watched.reading.clear()

    async def give_up() -> None:
        with anyio.CancelScope() as scope:
            givers.append(scope)
            await ring.current()

    givers: list[anyio.CancelScope] = []

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(give_up)
            await anyio.to_thread.run_sync(watched.reading.wait)
            givers[0].cancel()
        watched.go.set()
        assert list(await ring.current()) == [key.id]

    anyio.run(scenario)


@given(st.integers(0, len(TEXT) - 1), st.binary(min_size=1, max_size=1))
def test_every_character_of_a_key_counts(place: int, byte: bytes) -> None:
    """No key is a text that differs from its own in one place."""
    key, text = known_key()
    changed = text[:place] + byte + text[place + 1 :]
    assert (owner_of(changed, {key.id: key}, key.created_at) is not None) == (changed == text)


@pytest.mark.parametrize(
    ("before", "behind"), [(b" ", b""), (b"", b"\n"), (b"", b"\x00"), (b"", b"0"), (b"x", b"")]
)
def test_a_key_is_the_whole_text(before: bytes, behind: bytes) -> None:
    """Neither a line's end nor anything else around a key is overlooked."""
    key, text = known_key()
    assert owner_of(before + text + behind, {key.id: key}, key.created_at) is None


@pytest.mark.parametrize(("early_us", "known"), [(1, True), (0, False), (-1, False)])
def test_a_key_ends_at_its_end(early_us: int, known: bool) -> None:
    """The moment itself is too late."""
    key, text = known_key()
    end = key.created_at + timedelta(hours=1)
    ending = {key.id: ApiKey(key.id, "a", key.hash, "read", None, None, key.created_at, end, None)}
    now = end - timedelta(microseconds=early_us)
    assert (owner_of(text, ending, now) is not None) == known


class _OneKeyCatalog:
    """Takes what `create_key` hands to a catalog."""

    def create_key(self, name: str, scope: str, digest: bytes, **_: object) -> ApiKey:
        made = HandClock().now()
        return ApiKey("key_" + "0" * 26, name, digest, "read", None, None, made, None, None)


def known_key() -> tuple[ApiKey, bytes]:
    key, text = create_key(_OneKeyCatalog(), "a", "read")  # type: ignore[arg-type]
    return key, text.encode()
