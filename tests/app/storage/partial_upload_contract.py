"""Partial upload contract: what every store has to pass; inherit it and give it a store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.data_layout import DataLayout
from app.storage.composition import open_storage
from app.storage.media_store import MediaStore, StoredContent
from app.storage.partial_uploads import PartialLocked, PartialMissing, PartialUploadStore

ID = "upl_a"
Steps = Sequence[tuple[str, bytes]]
# What becomes of the bytes that one writer sends.
steps = st.lists(
    st.tuples(st.sampled_from(("counted", "checked", "unchecked", "cut")), st.binary()), max_size=8
)


class PartialUploadContract:
    """Tests of one implementation, which the fixture `store` of the class that inherits gives."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> PartialUploadStore:
        """An empty store."""
        raise NotImplementedError

    @pytest.fixture
    def media(self, tmp_path: Path) -> MediaStore:
        """Keeps the uploads that are complete; on the disk of `store`, if that has one."""
        return open_storage(DataLayout(tmp_path), writer_id="test").media

    @given(done=steps)
    @settings(
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ]
    )
    def test_what_counts_is_what_was_right(
        self, store: PartialUploadStore, media: MediaStore, done: Steps
    ):
        """Each writer goes on after the last byte that counts, whatever became of the others."""
        store.remove(ID)  # what an earlier example has left
        store.create(ID)
        expected = b""
        for fate, chunk in done:
            with store.open(ID) as partial:
                assert partial.size_bytes == len(expected)
                if fate in ("checked", "unchecked"):
                    partial.begin_unchecked()
                partial.write(chunk)
                assert partial.size_bytes == len(expected) + len(chunk)
                if fate == "checked":
                    partial.end_unchecked()
                elif fate == "cut":
                    partial.cut(len(expected))
                else:
                    partial.sync()  # "unchecked" dies here: it counts nowhere
                if fate in ("counted", "checked"):
                    expected += chunk
        assert content(store, media) == expected
        assert store.size_bytes(ID) == len(expected)

    def test_bytes_that_are_refused_are_followed_by_others(
        self, store: PartialUploadStore, media: MediaStore
    ):
        """A writer whose checksum was wrong cuts them and may go on, checked or not."""
        store.create(ID)
        with store.open(ID) as partial:
            partial.write(b"sure")
            partial.begin_unchecked()
            partial.write(b"wrong")
            partial.cut(4)
            partial.begin_unchecked()
            partial.write(b"right")
            partial.end_unchecked()
        assert content(store, media) == b"sureright"

    def test_there_is_one_writer_at_a_time(self, store: PartialUploadStore):
        """The second one is refused at once; looking on is free."""
        store.create(ID)
        with store.open(ID) as partial:
            partial.write(b"ab")
            with pytest.raises(PartialLocked):
                store.open(ID)
            assert store.size_bytes(ID) == 2
        store.open(ID).close()

    def test_an_adopted_upload_is_kept_and_stays(
        self, store: PartialUploadStore, media: MediaStore
    ):
        """Its bytes become content by their hash; the upload goes only when it is removed."""
        store.create(ID)
        with store.open(ID) as partial:
            partial.write(b"moving")
            for _ in range(2):  # a process may have died after the first time
                with partial.adopt_into(media) as received, media.exclusive():
                    stored = received.sync()
                    media.keep(received, stored)
            assert store.ids() == [ID]
            store.remove(ID)
        assert stored == StoredContent(hashlib.sha256(b"moving").hexdigest(), 6)
        assert media.content_bytes(stored.sha256) == 6
        assert list(media.tmp.glob("incoming-*")) == []

    def test_a_removed_upload_is_gone(self, store: PartialUploadStore):
        """It is listed, measured and opened no more; removing it again is no error."""
        store.create("upl_b")
        store.create(ID)
        assert sorted(store.ids()) == [ID, "upl_b"]
        with store.open(ID) as partial:
            partial.begin_unchecked()
            store.remove(ID)
        store.remove(ID)
        assert store.ids() == ["upl_b"]
        with pytest.raises(PartialMissing):
            store.open(ID)
        with pytest.raises(PartialMissing):
            store.size_bytes(ID)

    @pytest.mark.parametrize("name", ["", "..", "upl_../x", "upl_a/b", "upl_a\n", "vid_a", "upl_A"])
    def test_another_form_is_no_id(self, store: PartialUploadStore, name: str):
        """What could lead out of a folder is refused everywhere."""
        for refused in (store.create, store.open, store.size_bytes, store.remove):
            with pytest.raises(ValueError, match="no id"):
                refused(name)


def content(store: PartialUploadStore, media: MediaStore) -> bytes:
    """All bytes of the upload, read by the way on which it is kept."""
    with store.open(ID) as partial, partial.adopt_into(media) as received:
        received.sync()
        return received.path.read_bytes()
