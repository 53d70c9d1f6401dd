"""Admission: bytes and rows appear and disappear together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app.catalog.errors import CollectionNotFound, NotFound
from app.services.ingest.ingest import AcceptedUpload, Ingest, Sender, Upload
from app.services.library.library import LibraryService
from app.telemetry.metrics import Metrics
from tests.app.stack import Stack
from tests.app.stored_files import content_file


def admit(
    ingest: Ingest,
    stack: Stack,
    content: bytes,
    collection: str = "default",
    sender: Sender | None = None,
) -> AcceptedUpload:
    with stack.media.receive(1000) as incoming:
        incoming.write(content)
        upload = Upload(incoming, "a.mp4", "video/mp4", {})
        return ingest.admit(collection, upload, owner="owner", sender=sender)


def test_a_refused_upload_keeps_no_bytes(stack: Stack):
    """A collection that went away meanwhile leaves no orphan behind."""
    ingest = Ingest(stack.catalog, stack.media, Metrics().upload_bytes)
    with pytest.raises(CollectionNotFound):
        admit(ingest, stack, b"bytes", "none")
    folder = stack.settings.data_dir / "media"
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_a_refused_upload_spares_bytes_that_others_need(stack: Stack):
    """The same bytes in another collection stay."""
    ingest = Ingest(stack.catalog, stack.media, Metrics().upload_bytes)
    video = admit(ingest, stack, b"bytes").video
    with pytest.raises(CollectionNotFound):
        admit(ingest, stack, b"bytes", "none")
    assert content_file(stack.media, video.sha256).read_bytes() == b"bytes"


def test_uploads_and_deletes_of_the_same_bytes_never_lose_them(stack: Stack):
    """Whatever the order of threads, a video in the catalog has its bytes on disk."""
    ingest = Ingest(stack.catalog, stack.media, Metrics().upload_bytes)
    library: LibraryService = stack.api.app_state["services"].library

    def come_and_go(_: int) -> None:
        video = admit(ingest, stack, b"the same").video
        with suppress(NotFound):  # another thread was first
            library.delete_video("default", video.id)

    def come(_: int) -> None:
        video = admit(ingest, stack, b"the same").video
        with stack.media.exclusive():
            try:
                stack.catalog.get_video("default", video.id)
            except NotFound:
                return
            assert content_file(stack.media, video.sha256).exists()

    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda n: (come if n % 2 else come_and_go)(n), range(40)):
            pass


def test_accepted_bytes_are_counted_once(stack: Stack):
    """A kept file counts with its size; a replay and a refused upload do not count."""
    accepted = Metrics().upload_bytes
    ingest = Ingest(stack.catalog, stack.media, accepted)
    for _ in range(2):
        admit(ingest, stack, b"five!", sender=Sender("owner", "key"))
    with pytest.raises(CollectionNotFound):
        admit(ingest, stack, b"refused", "none")
    assert [metric.samples[0].value for metric in accepted.collect()] == [5.0]
