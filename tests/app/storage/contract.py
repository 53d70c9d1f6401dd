"""Object store contract: what every implementation has to pass; inherit it and give it a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.storage.object_store import ObjectMissing, ObjectStore, chunks

KEYS = ("media/ab/abc", "media/ab/abd", "media/a.b/x", "thumbnails/v_1/0.webp", "thumbnails/v_2/a")
PREFIXES = ("", "media/", "media/ab/", "thumbnails/v_1/", "thumbnails/", "none/")
Steps = Sequence[tuple[str, str, bytes]]
# An operation, what it is given, and the bytes of a put.
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("put", "put_file")), st.sampled_from(KEYS), st.binary()),
        st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(b"")),
        st.tuples(st.just("delete_prefix"), st.sampled_from(PREFIXES[1:]), st.just(b"")),
    ),
    max_size=12,
)
# One store for all examples of a test; and the test runs once in each class that inherits it.
on_one_store = settings(
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
    ]
)


class ObjectStoreContract:
    """Tests of one implementation, which the fixture `store` of the class that inherits gives."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        """An empty store."""
        raise NotImplementedError

    @given(done=steps)
    @on_one_store
    def test_it_is_a_dictionary(self, store: ObjectStore, tmp_path: Path, done: Steps):
        """After any puts and deletions it holds, lists and measures what a dict would."""
        oracle: dict[str, bytes] = {}
        for key in KEYS:  # what an earlier example has left
            store.delete(key)
        for operation, name, content in done:
            if operation == "put":
                store.put(name, content)
                oracle[name] = content
            elif operation == "put_file":
                handed_over(store, name, content, tmp_path)
                oracle[name] = content
            elif operation == "delete":
                store.delete(name)
                oracle.pop(name, None)
            else:
                store.delete_prefix(name)
                oracle = {key: held for key, held in oracle.items() if not key.startswith(name)}
        store.sync([*KEYS, *PREFIXES[1:]])
        assert {key: store.read(key) for key in store.list("")} == oracle
        assert {key: store.stat(key).size_bytes for key in oracle} == {
            key: len(content) for key, content in oracle.items()
        }
        for prefix in PREFIXES:
            assert sorted(store.list(prefix)) == sorted(
                key for key in oracle if key.startswith(prefix)
            )

    @given(content=st.binary(), start=st.integers(0, 60), length=st.integers(0, 60))
    @on_one_store
    def test_a_range_is_a_slice(self, store: ObjectStore, content: bytes, start: int, length: int):
        """Any range of an open object is that slice of its bytes, also at and past its end."""
        store.put(KEYS[0], content)
        with store.open(KEYS[0]) as opened:
            assert opened.read_range(start, start + length) == content[start : start + length]

    def test_all_chunks_are_the_object(self, store: ObjectStore):
        """Read in chunks, an object of more than one of them is whole."""
        content = bytes(range(256)) * 10_000
        store.put(KEYS[0], content)
        with store.open(KEYS[0]) as opened:
            assert b"".join(chunks(opened)) == content

    @pytest.mark.parametrize("change", ["delete", "delete_prefix", "put"])
    def test_an_open_object_outlives_its_key(self, store: ObjectStore, change: str):
        """What has been opened is read whole, though it is deleted or replaced meanwhile."""
        store.put(KEYS[0], b"moving pictures")
        with store.open(KEYS[0]) as opened:
            if change == "delete":
                store.delete(KEYS[0])
            elif change == "delete_prefix":
                store.delete_prefix("media/")
            else:
                store.put(KEYS[0], b"others")
            assert opened.stat.size_bytes == len(b"moving pictures")
            assert opened.read_range(0, 100) == b"moving pictures"

    def test_another_put_is_another_version(self, store: ObjectStore):
        """The version stays as long as the object does, and changes when it is put anew."""
        store.put(KEYS[0], b"one")
        first = store.stat(KEYS[0])
        with store.open(KEYS[0]) as opened:
            assert opened.stat == first == store.stat(KEYS[0])
        store.put(KEYS[0], b"two")
        assert store.stat(KEYS[0]).version != first.version

    def test_a_file_is_handed_over(self, store: ObjectStore, tmp_path: Path):
        """Its bytes are the object's, and its temporary name is gone."""
        assert not handed_over(store, KEYS[0], b"bytes", tmp_path).exists()
        assert store.read(KEYS[0]) == b"bytes"

    def test_a_local_copy_has_the_bytes(self, store: ObjectStore):
        """A library that needs a path finds the whole object there."""
        store.put(KEYS[0], b"bytes")
        with store.local_copy(KEYS[0]) as path:
            assert path.read_bytes() == b"bytes"

    def test_what_is_not_there_is_missing(self, store: ObjectStore):
        """Every way to read says so by the same error, with its code; deleting is no error."""
        store.put(KEYS[1], b"beside it")
        store.delete(KEYS[0])
        store.delete_prefix("none/")
        with pytest.raises(ObjectMissing, match=KEYS[0]) as caught:
            store.read(KEYS[0])
        assert caught.value.code == "object_missing"
        with pytest.raises(ObjectMissing):
            store.open(KEYS[0])
        with pytest.raises(ObjectMissing):
            store.stat(KEYS[0])
        with pytest.raises(ObjectMissing), store.local_copy(KEYS[0]):
            pass

    @pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "..", "a/../b", ".a", "a/.b", "a\n"])
    def test_another_form_is_no_key(self, store: ObjectStore, key: str):
        """What could lead out of a folder, or be two keys at once, is refused everywhere."""
        with pytest.raises(ValueError, match="no key"):
            store.put(key, b"")
        with pytest.raises(ValueError, match="no key"):
            store.open(key)
        with pytest.raises(ValueError, match="no key"):
            store.delete(key)

    def test_everything_is_no_prefix_to_delete(self, store: ObjectStore):
        """An empty prefix lists all, and deletes nothing."""
        with pytest.raises(ValueError, match="no key"):
            store.delete_prefix("")

    def test_nothing_is_left_to_sweep(self, store: ObjectStore):
        """A deletion that came to its end leaves nothing behind."""
        store.put(KEYS[0], b"")
        store.delete_prefix("media/")
        assert store.sweep() == 0


def handed_over(store: ObjectStore, key: str, content: bytes, folder: Path) -> Path:
    """Put a temporary file of these bytes; where it was."""
    file = folder / "incoming-file"
    file.write_bytes(content)
    store.put_file(key, file)
    return file
