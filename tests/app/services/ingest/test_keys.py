"""Idempotency keys below HTTP: what counts as the same request, also between two processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog import Catalog
from app.catalog.errors import CollectionNotFound, KeyAnswered
from app.catalog.records import AnsweredUpload, NewVideo, UploadKey
from app.data_layout import DataLayout
from app.errors import IdempotencyInFlight, IdempotencyKeyReused
from app.services.ingest.ingest import AcceptedUpload, Ingest, Sender, Upload, _upload_key
from app.storage.composition import Storage, open_storage
from app.telemetry.metrics import Metrics
from tests.app.catalog.samples import HandClock

SENDER = Sender("owner", "key")


class OvertakenCatalog(Catalog):
    """The catalog, in which another process does something right after a key was looked up."""

    overtake: Callable[[], object] | None = None

    def find_answer(self, key: UploadKey) -> AnsweredUpload | None:
        found = super().find_answer(key)
        if self.overtake is not None:
            event, self.overtake = self.overtake, None
            event()
        return found


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = open_storage(DataLayout(tmp_path), writer_id="api")
    yield opened
    opened.close()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[OvertakenCatalog]:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    with OvertakenCatalog.open(url, clock=HandClock()) as opened:
        for name in ("default", "other"):
            opened.create_collection(name, model="m", window_s=5, stride_s=5)
        yield opened


@pytest.fixture
def ingest(catalog: OvertakenCatalog, storage: Storage) -> Ingest:
    return Ingest(catalog, storage.media, Metrics().upload_bytes)


def send(
    ingest: Ingest,
    storage: Storage,
    content: bytes = b"abc",
    collection: str = "default",
    sender: Sender | None = SENDER,
    **choices: Any,
) -> AcceptedUpload:
    """An upload under the key."""
    named = {"filename": "a.mp4", "content_type": "video/mp4", "metadata": {}, **choices}
    with storage.media.receive(1 << 20) as incoming:
        incoming.write(content)
        upload = Upload(incoming, **named)
        return ingest.admit(collection, upload, owner="owner", sender=sender)


def test_a_key_is_served_one_request_at_a_time(ingest: Ingest) -> None:
    """A second one is turned away until the first has ended, however that ends."""
    with ingest.serving(SENDER):
        with pytest.raises(IdempotencyInFlight), ingest.serving(SENDER):
            pass
        with (
            pytest.raises(IdempotencyInFlight),
            ingest.serving(SENDER),
        ):  # its failure freed nothing
            pass
        with ingest.serving(Sender("owner", "other")), ingest.serving(Sender("other", "key")):
            pass
        with ingest.serving(None), ingest.serving(None):
            pass
    with pytest.raises(ZeroDivisionError), ingest.serving(SENDER):
        raise ZeroDivisionError
    with ingest.serving(SENDER):
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
objects = st.dictionaries(st.text(max_size=2), json_values, max_size=3)


def digest(metadata: Any, filename: str = "a", sha256: str = "0", collection: str = "c") -> str:
    new = NewVideo(filename, "video/mp4", 1, sha256, metadata)
    return _upload_key(SENDER, collection, new).digest


@given(metadata=objects)
def test_the_order_of_metadata_is_no_difference(metadata: dict[str, Any]) -> None:
    """Clients write the keys of an object as they like, at any depth."""
    assert digest(backwards(metadata)) == digest(metadata)


def backwards(value: Any) -> Any:
    """The value, with every object's keys the other way round."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1}, {"a": True}), ({"a": 1}, {"a": "1"}), ({"a": None}, {}), ({"a": [1]}, {"a": 1})],
    ids=str,
)
def test_other_metadata_is_another_request(one: Any, other: Any) -> None:
    """As JSON tells values apart."""
    assert digest(one) != digest(other)


def test_what_is_asked_for_cannot_move_between_fields() -> None:
    """A name that spells another field's value makes no equal request of two different ones."""
    digests = {
        digest({}, filename, sha256, collection)
        for filename in ("a", 'a", "b', "")
        for sha256 in ("0", '0", "a')
        for collection in ("c", "c0")
    }
    assert len(digests) == 12


@pytest.mark.parametrize(
    "change",
    [
        {"content": b"abcd"},
        {"collection": "other"},
        {"filename": "b.mp4"},
        {"metadata": {"a": 1}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_request_under_a_key_adds_nothing(
    ingest: Ingest, storage: Storage, catalog: Catalog, change: dict[str, Any]
) -> None:
    """It is refused, and its bytes do not stay."""
    send(ingest, storage)
    with pytest.raises(IdempotencyKeyReused):
        send(ingest, storage, **change)
    assert len(catalog.list_jobs().items) == 1
    assert len([*storage.media.contents()]) == 1


def test_a_repeated_request_shows_the_job_as_it_is_now(
    ingest: Ingest, storage: Storage, catalog: Catalog
) -> None:
    """It tells what the first one was answered, and does not try a failed video again."""
    first = send(ingest, storage)
    catalog.cancel_job(first.job.id)
    again = send(ingest, storage)
    assert (again.replayed, again.queued, again.job.id) == (True, True, first.job.id)
    assert (again.job.status, again.video.status) == ("canceled", "failed")
    assert (first.replayed, first.job.status) == (False, "queued")
    other = send(ingest, storage, sender=Sender("other", "key"))
    assert (other.replayed, other.queued, other.video.id) == (False, True, first.video.id)


def test_another_process_that_was_quicker_has_answered(
    ingest: Ingest, storage: Storage, catalog: OvertakenCatalog
) -> None:
    """Both found the key unused; the second takes the first one's answer as its own."""
    before: list[AcceptedUpload] = []
    catalog.overtake = lambda: before.append(send(ingest, storage))
    found = send(ingest, storage)
    assert (found.replayed, before[0].replayed) == (True, False)
    assert (found.video.id, found.job.id) == (before[0].video.id, before[0].job.id)
    assert len(catalog.list_jobs().items) == 1


def test_another_process_that_was_quicker_with_something_else_is_in_the_way(
    ingest: Ingest, storage: Storage, catalog: OvertakenCatalog
) -> None:
    """Also in another collection, where no lock is shared; what came second leaves no bytes."""
    catalog.overtake = lambda: send(ingest, storage, b"first", "other")
    with pytest.raises(IdempotencyKeyReused):
        send(ingest, storage, b"second")
    assert catalog.count_videos("default") == 0
    assert len([*storage.media.contents()]) == 1


def test_a_key_whose_video_is_gone_again_is_answered_by_no_video(
    ingest: Ingest, storage: Storage, catalog: OvertakenCatalog
) -> None:
    """Committed by another process, and deleted before it could be looked at: try again."""

    def come_and_go() -> None:
        video = send(ingest, storage).video
        catalog.overtake = lambda: catalog.delete_video("default", video.id)

    catalog.overtake = come_and_go
    with pytest.raises(KeyAnswered):
        send(ingest, storage)
    assert send(ingest, storage).queued


def test_a_refused_upload_uses_its_key_for_nothing(
    ingest: Ingest, storage: Storage, catalog: Catalog
) -> None:
    """The collection was not there; when it is, the same request is done."""
    with pytest.raises(CollectionNotFound):
        send(ingest, storage, collection="new")
    assert [*storage.media.contents()] == []
    catalog.create_collection("new", model="m", window_s=5, stride_s=5)
    assert not send(ingest, storage, collection="new").replayed
