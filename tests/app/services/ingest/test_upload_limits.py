"""Resumable uploads at their limits, and where one of several cannot be finished."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect

from app import failpoints
from app.catalog.errors import CollectionNotFound
from app.catalog.records import NewUpload
from app.catalog.uploads import UPLOAD_KEPT_S
from app.errors import InvalidChecksum, InvalidRequest, UploadExpired
from app.services.ingest.chunk import CHECKSUMS, Checksum
from app.storage.media_store import ContentTooLarge
from tests.app.catalog.samples import HandClock
from tests.app.services.arrivals import OWNER, Arrivals, open_arrivals

MAX_BYTES = 1 << 20  # what `Arrivals` take


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def arrivals(tmp_path: Path, clock: HandClock) -> Iterator[Arrivals]:
    with open_arrivals(tmp_path, clock) as opened:
        yield opened


@pytest.fixture
def _disarmed() -> Iterator[None]:
    yield
    failpoints.configure("")


def receive(arrivals: Arrivals, content: bytes) -> str:
    """An upload all of whose bytes are there, but which was cut off before it was finished."""
    upload_id = arrivals.announce(len(content))
    chunk = arrivals.uploads.begin(upload_id, OWNER, 0, None)
    assert chunk is not None
    chunk.write(content)
    arrivals.uploads.break_off(chunk, ClientDisconnect())
    chunk.close()
    return upload_id


def is_video(arrivals: Arrivals, upload_id: str) -> bool:
    return arrivals.uploads.look(upload_id, OWNER).upload.video_id is not None


@pytest.mark.parametrize(("length", "fits"), [(MAX_BYTES, True), (MAX_BYTES + 1, False)])
def test_an_upload_is_announced_up_to_the_limit(
    arrivals: Arrivals, length: int, fits: bool
) -> None:
    """A byte more is refused before anything is stored of it."""
    if fits:
        upload_id = arrivals.announce(length)
        assert arrivals.partials.ids() == [upload_id]
        return
    with pytest.raises(ContentTooLarge):
        arrivals.announce(length)
    assert arrivals.partials.ids() == []
    assert arrivals.catalog.list_unfinished_uploads() == []


def test_an_upload_into_no_collection_leaves_nothing(arrivals: Arrivals) -> None:
    """Neither a row nor a file."""
    with pytest.raises(CollectionNotFound):
        arrivals.uploads.create("none", OWNER, NewUpload(1, "a.mp4", "video/mp4", {}))
    assert arrivals.partials.ids() == []
    assert arrivals.catalog.list_unfinished_uploads() == []


def test_an_upload_without_bytes_is_no_video(arrivals: Arrivals) -> None:
    """It is refused in the words of a form's empty file, and nothing of it is kept."""
    upload_id = arrivals.announce(0)
    with pytest.raises(InvalidRequest, match="empty"):
        arrivals.send(upload_id, 0, b"", None)
    assert not is_video(arrivals, upload_id)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_chunks_of_one_byte_make_the_whole(arrivals: Arrivals, count: int) -> None:
    """What is left falls by one with each, and the last one alone makes the video."""
    upload_id = arrivals.announce(count)
    for offset in range(count):
        assert not is_video(arrivals, upload_id)
        chunk = arrivals.uploads.begin(upload_id, OWNER, offset, None)
        assert chunk is not None
        assert chunk.left == count - offset
        chunk.write(b"x")
        assert chunk.left == count - offset - 1
        arrivals.uploads.finish(chunk)
        chunk.close()
    assert is_video(arrivals, upload_id)


def test_each_chunk_gives_an_upload_another_day(arrivals: Arrivals, clock: HandClock) -> None:
    """Also one that was cut off; asking how far it is gives it no time."""
    upload_id = arrivals.announce(10)
    for offset in (0, 1):
        clock.advance(UPLOAD_KEPT_S - 1)
        arrivals.uploads.settle(upload_id, OWNER)
        chunk = arrivals.uploads.begin(upload_id, OWNER, offset, None)
        assert chunk is not None
        chunk.write(b"x")
        arrivals.uploads.break_off(chunk, ClientDisconnect())
        chunk.close()
    clock.advance(UPLOAD_KEPT_S - 1)
    assert arrivals.uploads.settle(upload_id, OWNER).offset == 2
    clock.advance(1)
    for refused in (
        lambda: arrivals.uploads.look(upload_id, OWNER),
        lambda: arrivals.uploads.begin(upload_id, OWNER, 2, None),
        lambda: arrivals.uploads.remove(upload_id, OWNER),
    ):
        with pytest.raises(UploadExpired):
            refused()


@pytest.mark.usefixtures("_disarmed")
def test_a_file_that_cannot_be_read_keeps_no_other_from_its_end(
    arrivals: Arrivals, caplog: pytest.LogCaptureFixture
) -> None:
    """The round goes on with the others, says which one failed, and the next tries it again."""
    received = [receive(arrivals, b"content %d" % number) for number in range(3)]
    failpoints.configure("upload_synced:eio@2")
    with caplog.at_level(logging.WARNING):
        arrivals.uploads.finish_received()
    done = [is_video(arrivals, upload_id) for upload_id in received]
    assert sorted(done) == [False, True, True]
    left = received[done.index(False)]
    assert [left in record.getMessage() for record in caplog.records] == [True]
    assert arrivals.partials.ids() == [left]
    arrivals.uploads.finish_received()
    assert is_video(arrivals, left)
    assert arrivals.partials.ids() == []
    assert arrivals.catalog.count_videos("default") == 3


def test_only_what_has_come_whole_is_finished(arrivals: Arrivals) -> None:
    """One byte that is missing is a byte that the client still has to send."""
    whole, short = receive(arrivals, b"whole"), arrivals.announce(3)
    arrivals.send(short, 0, b"ab", None)
    arrivals.uploads.finish_received()
    assert (is_video(arrivals, whole), is_video(arrivals, short)) == (True, False)
    assert arrivals.uploads.settle(short, OWNER).offset == 2


@pytest.mark.parametrize("algorithm", ["md5", "SHA1", "sha-1", "", "sha512"])
def test_checksums_are_of_known_kinds(algorithm: str) -> None:
    """By exactly those names; the refusal lists them."""
    with pytest.raises(InvalidChecksum, match=", ".join(CHECKSUMS)):
        Checksum(algorithm, b"")
