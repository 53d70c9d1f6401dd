"""Tensor store contract: what every implementation has to pass; inherit it and open stores."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from index.errors import TensorCorrupt, TensorNotFound
from index.protocol import Record, TensorReference, TensorStore

OpenStore: TypeAlias = Callable[[str], TensorStore]  # opens one for a writer's id

arrays = st.sampled_from([np.float16, np.float32, np.int64, np.uint8]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
)
names = st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__")
records = st.lists(st.dictionaries(names, arrays, max_size=3), max_size=6)
WRONG: dict[str, Callable[[TensorReference], TensorReference]] = {
    "checksum": lambda right: replace(right, crc32=right.crc32 ^ 1),
    "length": lambda right: replace(right, length=1 << 60),
    "offset": lambda right: replace(right, offset=right.offset + 1),
    "negative": lambda right: replace(right, offset=-1),
}


def assert_same(expected: list[Record], actual: list[Record]) -> None:
    """Every array is the same bit for bit, with its dtype and shape."""
    assert [sorted(record) for record in expected] == [sorted(record) for record in actual]
    for left, right in zip(expected, actual, strict=True):
        for name, array in left.items():
            assert array.dtype == right[name].dtype
            np.testing.assert_array_equal(array, right[name])


def prompts(count: int) -> list[Record]:
    """Records that differ."""
    return [{"prompt": np.full((5, 8), number, np.float16)} for number in range(count)]


class TensorStoreContract:
    """Tests of one implementation, which the fixture `open_store` of the class that inherits gives.

    All stores that one `open_store` opens hold the same files.
    """

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        """Opens stores over one location, which is empty at first."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Iterator[TensorStore]:
        """The store of one writer."""
        store = open_store("wrk_1")
        yield store
        store.close()

    @given(batches=st.lists(records, max_size=4), data=st.data())
    @settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    def test_records_are_read_in_the_requested_order(
        self, store: TensorStore, batches: list[list[Record]], data: st.DataObject
    ) -> None:
        """Whatever was written in any batches comes back in any order."""
        written = [record for batch in batches for record in batch]
        references = [reference for batch in batches for reference in store.append(batch)]
        order = data.draw(st.permutations(range(len(written))))
        read = store.read([references[index] for index in order])
        assert_same([written[index] for index in order], read)

    def test_views_are_stored_by_their_values(self, store: TensorStore) -> None:
        """A transposed or strided view is stored as what it shows, not as what lies below it."""
        view = np.arange(12, dtype=np.float32).reshape(3, 4).T[::2]
        assert_same([{"view": view.copy()}], store.read(store.append([{"view": view}])))

    def test_writers_never_share_a_file(self, open_store: OpenStore) -> None:
        """Two writers, and a writer under the name of a dead one, keep apart."""
        stores = [open_store(name) for name in ("wrk_1", "wrk_2", "wrk_1")]
        references = [store.append(prompts(2)) for store in stores]
        assert len({each.file for reference in references for each in reference}) == 3
        for reference in references:
            assert_same(prompts(2), stores[0].read(reference))
        for store in stores:
            store.close()

    def test_a_store_that_only_reads_makes_no_file(self, open_store: OpenStore) -> None:
        """Opening and closing it leaves nothing."""
        open_store("api").close()
        assert open_store("api").files() == []

    def test_threads_may_append_and_read_at_once(self, store: TensorStore) -> None:
        """References handed out to several threads never overlap."""
        with ThreadPoolExecutor(8) as pool:
            references = list(pool.map(store.append, [prompts(3)] * 40))
        flat = [reference for batch in references for reference in batch]
        assert len({(reference.file, reference.offset) for reference in flat}) == 120
        assert_same(prompts(3) * 40, store.read(flat))

    @pytest.mark.parametrize("wrong", WRONG)
    def test_a_wrong_reference_is_an_error(self, store: TensorStore, wrong: str) -> None:
        """It never leads to wrong numbers."""
        with pytest.raises(TensorCorrupt):
            store.read([WRONG[wrong](store.append(prompts(2))[1])])

    @pytest.mark.parametrize("name", ["gone.tensors", "../secret.tensors", "/etc/passwd", "", "."])
    def test_only_files_of_the_store_are_read(self, store: TensorStore, name: str) -> None:
        """A name that leads elsewhere, or nowhere, is not found."""
        with pytest.raises(TensorNotFound):
            store.read([replace(store.append(prompts(1))[0], file=name)])
        with pytest.raises(TensorNotFound), store.local_copy(name):
            pass

    def test_a_damaged_record_leaves_the_others(self, store: TensorStore) -> None:
        """Each gets its record or its own error, in the requested order."""
        references = store.append(prompts(3))
        bad = replace(references[1], crc32=0)
        gone = replace(references[1], file="gone.tensors")
        first, second, third, fourth = store.read_each([references[0], bad, gone, references[2]])
        assert_same([prompts(3)[0], prompts(3)[2]], [first, fourth])
        assert (type(second), type(third)) == (TensorCorrupt, TensorNotFound)

    def test_erased_bytes_are_gone_and_their_neighbours_are_not(self, store: TensorStore) -> None:
        """Beside the writer, which goes on; erasing twice is erasing once."""
        record = {"prompt": np.full((5, 8), 7, np.uint8)}
        before, erased, after = store.append([record] * 3)
        size = store.size_bytes(erased.file)
        assert store.written_bytes(erased.file, erased.offset, erased.length) > 0
        for _ in range(2):
            store.erase(erased.file, [(erased.offset, erased.length)])
        later = store.append([record])
        assert_same([record] * 3, store.read([before, after, *later]))
        assert store.written_bytes(erased.file, erased.offset, erased.length) == 0
        assert store.written_bytes(before.file, before.offset, before.length) > 0
        with pytest.raises(TensorCorrupt):
            store.read([erased])
        store.erase("gone.tensors", [(0, 10)])
        store.erase(before.file, [(store.size_bytes(before.file), 100)])
        assert store.size_bytes(before.file) >= size

    def test_a_local_copy_has_the_bytes(self, store: TensorStore) -> None:
        """Where a reference says, it holds what the reference's checksum is of."""
        references = store.append(prompts(3))
        for each in references:
            with store.local_copy(each.file) as path:
                run = path.read_bytes()[each.offset : each.offset + each.length]
            assert zlib.crc32(run) == each.crc32

    def test_files_of_living_writers_are_told_from_those_of_the_dead(
        self, store: TensorStore, open_store: OpenStore
    ) -> None:
        """A file goes only after its writer has: what is in it may not be referred to yet."""
        reader = open_store("reader")
        references = store.append(prompts(60))
        names = {reference.file for reference in references}
        assert set(reader.files()) == names
        for name in names:
            with reader.ended(name) as ended:
                assert not ended
        store.close()
        for name in names:
            with reader.ended(name) as ended:
                assert ended
                reader.unlink(name)
        assert reader.files() == []
        with pytest.raises(TensorNotFound):
            reader.read(references)
        with reader.ended("gone.tensors") as ended:
            assert not ended

    def test_a_file_that_is_not_there_has_no_bytes(self, store: TensorStore) -> None:
        """Every measure of it is 0."""
        name = store.append(prompts(1))[0].file
        assert store.size_bytes(name) > 0
        assert store.disk_bytes(name) > 0
        store.close()
        store.unlink(name)
        assert store.size_bytes(name) == 0
        assert store.disk_bytes(name) == 0
        assert store.written_bytes(name, 0, 100) == 0
