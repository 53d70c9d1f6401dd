"""Keys in the catalog: made with a hash, listed for ever, in force until revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.catalog import Catalog
from app.catalog.errors import KeyNotFound
from tests.app.catalog.samples import HandClock

DIGEST = bytes(range(32))


def test_a_key_comes_back_as_it_was_made(catalog: Catalog, clock: HandClock) -> None:
    """With its limits and its end, and the hash as bytes."""
    key = catalog.create_key(
        "cam", "write", DIGEST, requests_per_minute=60, concurrent_requests=4, expires_in_s=3600
    )
    clock.advance(1)
    plain = catalog.create_key("all", "admin", DIGEST)
    assert catalog.list_keys() == [key, plain]
    assert {kept.id for kept in catalog.keys_in_force()} == {key.id, plain.id}
    assert (key.hash, key.requests_per_minute, key.concurrent_requests) == (DIGEST, 60, 4)
    assert key.expires_at == key.created_at + timedelta(hours=1)
    assert not key.is_expired(clock.now())
    clock.advance(3599)
    assert key.is_expired(clock.now())
    assert not plain.is_expired(clock.now())
    assert key in catalog.keys_in_force()  # its end is not for the catalog to judge


def test_revoking_is_for_good_and_names_what_it_does_not_know(
    catalog: Catalog, clock: HandClock
) -> None:
    """A second time changes nothing, not even the moment."""
    key = catalog.create_key("a", "read", DIGEST)
    revoked = catalog.revoke_key(key.id)
    assert revoked.revoked_at == clock.now()
    clock.advance(60)
    assert catalog.revoke_key(key.id) == revoked
    assert (catalog.keys_in_force(), catalog.list_keys()) == ([], [revoked])
    with pytest.raises(KeyNotFound):
        catalog.revoke_key("key_none")
