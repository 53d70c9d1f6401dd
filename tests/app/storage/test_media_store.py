"""The media store: names by content, nothing half-written, nothing left behind."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.data_layout import DataLayout
from app.storage.composition import open_storage
from app.storage.media_store import ContentTooLarge, MediaStore, StorageFull, StoredContent
from tests.app.stored_files import content_file, thumbnail_file


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    return open_storage(DataLayout(tmp_path), writer_id="test").media


def keep(media: MediaStore, content: bytes) -> str:
    with media.receive(len(content)) as incoming:
        incoming.write(content)
        stored = incoming.sync()
        with media.exclusive():
            media.keep(incoming, stored)
    return stored.sha256


def leftovers(media: MediaStore) -> list[str]:
    return [path.name for path in media.tmp.iterdir() if path.name != "media.lock"]


def test_kept_content_is_found_by_its_hash(media: MediaStore):
    """What was written is at the path its SHA-256 names, and nothing stays in tmp."""
    sha256 = keep(media, b"moving pictures")
    assert sha256 == hashlib.sha256(b"moving pictures").hexdigest()
    assert content_file(media, sha256).read_bytes() == b"moving pictures"
    assert leftovers(media) == []


def test_the_same_content_twice_is_one_file(media: MediaStore):
    """Keeping equal bytes again changes nothing."""
    assert keep(media, b"again") == keep(media, b"again")
    assert len(list(content_file(media, "ab" * 32).parent.parent.rglob("*"))) == 2


@given(pieces=st.lists(st.binary(max_size=40), max_size=8), limit=st.integers(1, 200))
def test_pieces_are_counted_and_hashed_up_to_the_limit(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], limit: int
):
    """However the bytes are cut, the whole is hashed, and one byte over the limit is refused."""
    media = open_storage(DataLayout(tmp_path_factory.mktemp("media")), writer_id="test").media
    whole = b"".join(pieces)
    with media.receive(limit) as incoming:
        try:
            for piece in pieces:
                incoming.write(piece)
        except ContentTooLarge:
            assert len(whole) > limit
        else:
            assert len(whole) <= limit
            stored = incoming.sync()
            assert stored.size_bytes == len(whole) == incoming.path.stat().st_size
            assert stored.sha256 == hashlib.sha256(whole).hexdigest()
    assert leftovers(media) == []


def test_an_abandoned_file_is_removed(media: MediaStore):
    """Leaving the block without keeping, for example by an error, leaves nothing."""
    incoming = media.receive(10)
    incoming.write(b"half")
    with pytest.raises(ContentTooLarge), incoming:
        incoming.write(b"and then too much")
    assert leftovers(media) == []


def test_sweep_takes_what_a_dead_process_left_and_spares_the_living(media: MediaStore):
    """A file whose writer was killed goes; one that is being received stays."""
    script = (
        "import os, pathlib\n"
        "from app.data_layout import DataLayout\n"
        "from app.storage.composition import open_storage\n"
        f"layout = DataLayout(pathlib.Path({str(media.tmp.parent)!r}))\n"
        "open_storage(layout, writer_id='test').media.receive(9).write(b'dead')\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    with media.receive(9) as living:
        assert len(leftovers(media)) == 2
        assert media.sweep() == 1
        assert leftovers(media) == [living.path.name]


def test_a_file_that_leaves_too_little_room_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """By what is announced, and from time to time on the way; what was written goes."""
    free = 1 << 30
    monkeypatch.setattr(
        "app.storage.media_store.shutil.disk_usage", lambda _: SimpleNamespace(free=free)
    )
    monkeypatch.setattr("app.storage.media_store.SPACE_CHECK_BYTES", 4000)
    storage = open_storage(DataLayout(tmp_path), writer_id="test", min_free_bytes=free - 1000)
    media = storage.media
    with media.receive(free) as incoming:
        incoming.expect(1000)
        with pytest.raises(StorageFull):
            incoming.expect(1001)
        piece = bytes(1001)
        for _ in range(3):
            incoming.write(piece)
        with pytest.raises(StorageFull):
            incoming.write(piece)
    assert leftovers(media) == []


def test_a_sweep_beside_never_takes_a_file_that_is_being_opened(media: MediaStore):
    """Between making a file and locking it, it looks like a dead one's."""
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            media.sweep()

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        for _ in range(200):
            with media.receive(9) as incoming:
                assert incoming.path.exists()
    finally:
        stop.set()
        thread.join()


def test_an_adopted_file_is_kept_under_a_second_name(media: MediaStore, tmp_path: Path):
    """The first name stays for its owner to remove; to keep it again changes nothing."""
    first = tmp_path / "elsewhere"
    first.write_bytes(b"moving")
    for _ in range(2):
        with media.adopt(first) as adopted, media.exclusive():
            stored = adopted.sync()
            media.keep(adopted, stored)
        assert leftovers(media) == []
    assert stored == StoredContent(hashlib.sha256(b"moving").hexdigest(), 6)
    assert content_file(media, stored.sha256).samefile(first)


def test_exclusive_lets_one_in_at_a_time(media: MediaStore):
    """A second holder waits until the first one leaves."""
    entered = threading.Event()

    def enter() -> None:
        with media.exclusive():
            entered.set()

    with media.exclusive():
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.1)
    assert entered.wait(60)
    thread.join()


def test_removed_content_is_gone_and_may_be_removed_again(media: MediaStore):
    """Removing is final and idempotent."""
    sha256 = keep(media, b"x")
    media.remove_content(sha256)
    media.remove_content(sha256)
    assert not content_file(media, sha256).exists()


@pytest.mark.parametrize("name", ["", "../../passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_content_is_named_by_hashes_only(media: MediaStore, name: str):
    """Whatever is no SHA-256 never becomes a path."""
    with pytest.raises(ValueError, match="hexadecimal"):
        content_file(media, name)


@pytest.mark.parametrize("name", ["", "..", "vid_../../x", "vid_a/b", "vid_a\n", "job_a"])
def test_thumbnails_are_named_by_video_ids_only(media: MediaStore, name: str):
    """Whatever is no video id never becomes a path."""
    with pytest.raises(ValueError, match="video id"):
        thumbnail_file(media, name, 0)


def test_thumbnails_are_written_replaced_and_removed_together(media: MediaStore):
    """A picture is whole or absent; removing takes all of a video's pictures and no other's."""
    for index in range(2):
        media.write_thumbnail("vid_a", index, b"old")
    media.write_thumbnail("vid_a", 1, b"new")
    media.write_thumbnail("vid_b", 0, b"other")
    assert thumbnail_file(media, "vid_a", 1).read_bytes() == b"new"
    media.remove_thumbnails("vid_a")
    media.remove_thumbnails("vid_a")
    assert not thumbnail_file(media, "vid_a", 0).exists()
    assert thumbnail_file(media, "vid_b", 0).exists()
    assert leftovers(media) == []
