"""Packed tensor files: what was written is read back, or the reader hears why not."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from index import sparse_files
from index.errors import TensorCorrupt, TensorNotFound
from index.protocol import TensorReference
from index.tensors import PackedTensorStore

Record = dict[str, npt.NDArray[Any]]

arrays = st.sampled_from([np.float16, np.float32, np.int64, np.uint8]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
)
names = st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__")
records = st.lists(st.dictionaries(names, arrays, max_size=3), max_size=6)


def assert_same(expected: list[Record], actual: list[Record]) -> None:
    assert [sorted(record) for record in expected] == [sorted(record) for record in actual]
    for left, right in zip(expected, actual, strict=True):
        for name, array in left.items():
            assert array.dtype == right[name].dtype
            np.testing.assert_array_equal(array, right[name])


def prompts(count: int) -> list[Record]:
    return [{"prompt": np.full((5, 8), number, np.float16)} for number in range(count)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PackedTensorStore]:
    store = PackedTensorStore(tmp_path, writer_id="wrk_1", roll_bytes=2000)
    yield store
    store.close()


@given(batches=st.lists(records, max_size=4), data=st.data())
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_reads_back_what_was_written_in_any_order(
    store: PackedTensorStore, batches: list[list[Record]], data: st.DataObject
) -> None:
    """Every array comes back bit for bit, with its dtype and shape, in the order asked."""
    written = [record for batch in batches for record in batch]
    references = [reference for batch in batches for reference in store.append(batch)]
    order = data.draw(st.permutations(range(len(written))))
    read = store.read([references[place] for place in order])
    assert_same([written[place] for place in order], read)


def test_views_are_stored_by_their_values(store: PackedTensorStore) -> None:
    """A transposed or strided view is stored as what it shows, not as what lies below it."""
    view = np.arange(12, dtype=np.float32).reshape(3, 4).T[::2]
    assert_same([{"view": view.copy()}], store.read(store.append([{"view": view}])))


def test_files_roll_at_their_size(store: PackedTensorStore, tmp_path: Path) -> None:
    """A full file is left and the next begun, and records in all of them are read."""
    references = store.append(prompts(60))
    assert len({reference.file for reference in references}) > 3
    assert all(path.stat().st_size < 2000 + 200 for path in tmp_path.iterdir())
    assert_same(prompts(60), store.read(references))


def test_writers_never_share_a_file(tmp_path: Path) -> None:
    """Two writers in one folder, and a writer under the name of a dead one, keep apart."""
    stores = [PackedTensorStore(tmp_path, writer_id=name) for name in ("wrk_1", "wrk_2", "wrk_1")]
    references = [store.append(prompts(2)) for store in stores]
    assert len({each.file for reference in references for each in reference}) == 3
    for reference in references:
        assert_same(prompts(2), stores[0].read(reference))
    for store in stores:
        store.close()


def test_readers_leave_no_file(tmp_path: Path) -> None:
    """A store that only reads writes nothing."""
    PackedTensorStore(tmp_path / "new", writer_id="api").close()
    assert list((tmp_path / "new").iterdir()) == []


def test_threads_may_append_and_read_at_once(store: PackedTensorStore) -> None:
    """References handed out to several threads never overlap."""
    with ThreadPoolExecutor(8) as pool:
        references = list(pool.map(store.append, [prompts(3)] * 40))
    flat = [reference for batch in references for reference in batch]
    assert len({(reference.file, reference.offset) for reference in flat}) == 120
    assert_same(prompts(3) * 40, store.read(flat))


@pytest.mark.parametrize("damage", ["flip", "truncate", "length", "offset", "negative"])
def test_damage_is_noticed(store: PackedTensorStore, tmp_path: Path, damage: str) -> None:
    """A flipped bit, a short file and a wrong reference are errors, never wrong numbers."""
    reference = store.append(prompts(2))[1]
    path = tmp_path / reference.file
    blob = bytearray(path.read_bytes())
    if damage == "flip":
        blob[reference.offset + reference.length - 3] ^= 4
        path.write_bytes(blob)
    elif damage == "truncate":
        path.write_bytes(blob[:-1])
    else:
        reference = {
            "length": replace(reference, length=1 << 60),
            "offset": replace(reference, offset=reference.offset + 1),
            "negative": replace(reference, offset=-1),
        }[damage]
    with pytest.raises(TensorCorrupt, match=reference.file):
        store.read([reference])


@pytest.mark.parametrize(
    "name", ["gone.tensors", "../secret.tensors", "/etc/passwd", "wrk_1-000000.tensors\n", "", "."]
)
def test_only_files_of_the_store_are_read(
    store: PackedTensorStore, tmp_path: Path, name: str
) -> None:
    """A name that leads out of the folder, or nowhere, is not found."""
    (tmp_path.parent / "secret.tensors").write_bytes(b"x")
    reference = replace(store.append(prompts(1))[0], file=name)
    with pytest.raises(TensorNotFound):
        store.read([reference])


def test_reading_leaves_no_file_open(store: PackedTensorStore) -> None:
    """Files are let go after each read, also when it fails."""
    references = store.append(prompts(40))
    store.read(references)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        store.read(references)
        with pytest.raises(TensorNotFound):
            store.read([*references, replace(references[0], file="gone.tensors")])
    assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_a_writer_name_is_plain(tmp_path: Path) -> None:
    """The name becomes part of a file name."""
    with pytest.raises(ValueError, match="writer id"):
        PackedTensorStore(tmp_path, writer_id="../x")


def test_a_torn_write_is_left_behind(
    store: PackedTensorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a write that failed half-way, earlier and later records are whole."""
    really_write = os.write
    first = store.append(prompts(1))

    def half_then_full(file: int, blob: memoryview) -> int:
        if len(blob) < 60:
            raise OSError(28, "No space left on device")
        return really_write(file, blob[: len(blob) // 2])

    monkeypatch.setattr(os, "write", half_then_full)
    with pytest.raises(OSError, match="No space left"):
        store.append(prompts(1))
    monkeypatch.setattr(os, "write", really_write)
    later = store.append(prompts(2))
    assert_same(prompts(1) + prompts(2), store.read(first + later))
    assert later[0].file != first[0].file


def test_everything_synced_survives_a_killed_writer(tmp_path: Path) -> None:
    """A writer killed in the middle loses nothing it had reported as synced."""
    code = """
        import sys
        from pathlib import Path
        import numpy as np
        from index.protocol import TensorReference
from index.tensors import PackedTensorStore
        store = PackedTensorStore(Path(sys.argv[1]), writer_id="child", roll_bytes=50_000)
        for number in range(1_000_000):
            reference, = store.append([{"prompt": np.full((5, 64), number % 1000, np.float16)}])
            store.sync()
            print(reference.file, reference.offset, reference.length, reference.crc32, flush=True)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(150)]
    child.send_signal(signal.SIGKILL)
    lines += child.stdout.readlines()
    child.stdout.close()
    child.wait()
    store = PackedTensorStore(tmp_path, writer_id="reader")
    fields = [line.split() for line in lines if line.endswith("\n")]
    references = [TensorReference(each[0], *map(int, each[1:])) for each in fields]
    values = [record["prompt"][0, 0] for record in store.read(references)]
    assert [number % 1000 for number in range(len(references))] == values
    store.close()


def test_a_damaged_record_leaves_the_others(store: PackedTensorStore, tmp_path: Path) -> None:
    """Each gets its record or its own error, in the order asked."""
    references = store.append(prompts(3))
    bad = replace(references[1], crc32=0)
    gone = replace(references[1], file="gone.tensors")
    first, second, third, fourth = store.read_each([references[0], bad, gone, references[2]])
    assert_same([prompts(3)[0], prompts(3)[2]], [first, fourth])
    assert (type(second), type(third)) == (TensorCorrupt, TensorNotFound)


@pytest.mark.parametrize("holes_work", [True, False])
def test_erased_bytes_are_gone_and_their_neighbours_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holes_work: bool
) -> None:
    """Given back to the disk where it can be, overwritten where it cannot; twice is once."""
    if not holes_work:
        monkeypatch.setattr(
            sparse_files, "_fallocate", lambda *_: ctypes.set_errno(errno.EOPNOTSUPP) or 1
        )
    store = PackedTensorStore(tmp_path, writer_id="wrk_1")
    big = {"prompt": np.full((64, 1024), 7, np.uint8)}
    before, erased, after = store.append([big] * 3)
    size = store.size_bytes(erased.file)
    for _ in range(2):
        store.erase(erased.file, [(erased.offset, erased.length)])
    kept = (tmp_path / erased.file).read_bytes()
    assert not any(kept[erased.offset : erased.offset + erased.length])
    assert_same([big, big], store.read([before, after]))
    assert store.size_bytes(erased.file) == size
    assert store.written_bytes(erased.file, 0, size) > 0
    assert store.written_bytes(erased.file, erased.offset, erased.length) == 0
    assert (store.disk_bytes(erased.file) < size) == holes_work
    with pytest.raises(TensorCorrupt):
        store.read([erased])
    store.erase("gone.tensors", [(0, 10)])
    store.erase(after.file, [(size, 100)])
    assert store.size_bytes(after.file) == size
    store.close()


def test_files_of_living_writers_are_told_from_those_of_the_dead(
    store: PackedTensorStore, tmp_path: Path
) -> None:
    """A writer holds its full files too: what it wrote there may not be referred to yet."""
    reader = PackedTensorStore(tmp_path, writer_id="reader")
    names = {reference.file for reference in store.append(prompts(60))}
    assert len(names) > 3
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
    with reader.ended("gone.tensors") as ended:
        assert not ended


def test_a_file_that_is_removed_under_its_writer_is_left(
    store: PackedTensorStore, tmp_path: Path
) -> None:
    """What it had written is not called safe, and the next goes into a file that is there."""
    (lost,) = store.append(prompts(1))
    (tmp_path / lost.file).unlink()
    with pytest.raises(FileNotFoundError):
        store.sync()
    (kept,) = store.append(prompts(1))
    store.sync()
    assert kept.file != lost.file
    assert_same(prompts(1), store.read([kept]))
