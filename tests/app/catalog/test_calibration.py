"""What is measured for a collection is kept with it; a secret is made once, whoever asks first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.catalog import Catalog
from app.catalog.calibration import SECRET_BYTES
from app.catalog.errors import CollectionNotFound


def test_figures_are_kept_with_their_collection(catalog: Catalog, url: str) -> None:
    """Each by itself, over a restart, and for no other collection."""
    catalog.create_collection("other", model="m", window_s=5, stride_s=2.5)
    fresh = catalog.get_collection("default")
    assert (fresh.calibration, fresh.recall_candidates) == (None, None)
    catalog.set_calibration("default", "col_1-abcd")
    catalog.set_recall_candidates("default", 500)
    with Catalog.open(url) as reopened:
        kept = reopened.get_collection("default")
        assert (kept.calibration, kept.recall_candidates) == ("col_1-abcd", 500)
        assert reopened.get_collection("other").calibration is None
        reopened.set_calibration("default", None)
    kept = catalog.get_collection("default")
    assert (kept.calibration, kept.recall_candidates) == (None, 500)
    catalog.set_recall_candidates("default", None)
    assert catalog.get_collection("default").recall_candidates is None


def test_figures_of_what_does_not_exist_are_refused(catalog: Catalog) -> None:
    """A name that is not there, or not there any more."""
    catalog.delete_collection("default")
    with pytest.raises(CollectionNotFound, match="'default'"):
        catalog.set_calibration("default", "a")
    with pytest.raises(CollectionNotFound, match="'none'"):
        catalog.set_recall_candidates("none", 5)


def test_a_collection_made_again_has_no_figures(catalog: Catalog) -> None:
    """They were measured on what is gone."""
    catalog.set_calibration("default", "a")
    catalog.set_recall_candidates("default", 5)
    catalog.delete_collection("default")
    again, _ = catalog.create_collection("default", model="m", window_s=5, stride_s=2.5)
    assert (again.calibration, again.recall_candidates) == (None, None)
    assert catalog.get_collection("default") == again


def test_a_secret_stays_the_same(catalog: Catalog, url: str) -> None:
    """Asked for again, by another process, after a restart; another name is another secret."""
    secret = catalog.secret("cursors")
    assert len(secret) == SECRET_BYTES
    assert catalog.secret("cursors") == secret
    assert catalog.secret("keys") != secret
    with Catalog.open(url) as reopened:
        assert reopened.secret("cursors") == secret


@pytest.mark.parametrize("attempt", range(3))
def test_many_who_ask_first_get_the_same_secret(url: str, attempt: int) -> None:
    """Two catalogs on one database, four threads each, none of which finds it made."""
    start = threading.Barrier(8)

    def ask(catalog: Catalog) -> bytes:
        start.wait(60)
        return catalog.secret("cursors")

    with Catalog.open(url) as one, Catalog.open(url) as other, ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask, [one, other] * 4))
    assert len(found) == 1


def test_who_is_second_takes_the_first_ones_secret(url: str) -> None:
    """Both have seen that there is none; the other is done before this one writes."""
    with Catalog.open(url) as other:

        def entropy(count: int) -> bytes:
            other.secret("cursors")
            return bytes(count)

        with Catalog.open(url, entropy=entropy) as late:
            assert late.secret("cursors") == other.secret("cursors") != bytes(SECRET_BYTES)
