"""Tensor stores: each implementation passes the contract, and packed files survive a crash."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from index import sparse_files
from index.errors import TensorCorrupt, TensorNotFound
from index.protocol import TensorReference
from index.tensors import PackedTensorStore
from tests.index.memory_tensors import MemoryTensorFiles, MemoryTensorStore
from tests.index.tensor_contract import OpenStore, TensorStoreContract, assert_same, prompts


class TestPackedTensorStore(TensorStoreContract):
    """The store that the service uses, with files so small that they roll."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return lambda writer_id: PackedTensorStore(tmp_path, writer_id=writer_id, roll_bytes=2000)


class TestMemoryTensorStore(TensorStoreContract):
    """A toy."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return partial(MemoryTensorStore, MemoryTensorFiles())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PackedTensorStore]:
    store = PackedTensorStore(tmp_path, writer_id="wrk_1", roll_bytes=2000)
    yield store
    store.close()


def test_files_roll_at_their_size(store: PackedTensorStore, tmp_path: Path) -> None:
    """A full file is left and the next begun, and records in all of them are read."""
    references = store.append(prompts(60))
    assert len({reference.file for reference in references}) > 3
    assert all(path.stat().st_size < 2000 + 200 for path in tmp_path.iterdir())
    assert_same(prompts(60), store.read(references))


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_damage_is_noticed(store: PackedTensorStore, tmp_path: Path, damage: str) -> None:
    """A flipped bit and a short file are errors, never wrong numbers."""
    reference = store.append(prompts(2))[1]
    path = tmp_path / reference.file
    blob = bytearray(path.read_bytes())
    if damage == "flip":
        blob[reference.offset + reference.length - 3] ^= 4
        path.write_bytes(blob)
    else:
        path.write_bytes(blob[:-1])
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
    assert len(references) >= 150
    values = [record["prompt"][0, 0] for record in store.read(references)]
    assert [number % 1000 for number in range(len(references))] == values
    store.close()


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


def test_a_local_copy_is_the_file_itself(store: PackedTensorStore, tmp_path: Path) -> None:
    """Nothing is copied for a library that needs a path."""
    (reference,) = store.append(prompts(1))
    with store.local_copy(reference.file) as path:
        assert path == tmp_path / reference.file


@pytest.mark.parametrize(("offset", "length"), [(0, 0), (8, 0), (0, 4), (4, 30)])
def test_whole_bytes_that_are_no_record_are_corrupt(
    store: PackedTensorStore, tmp_path: Path, offset: int, length: int
) -> None:
    """A reference whose checksum fits may still lead beside a record, or to nothing at all."""
    (good,) = store.append(prompts(1))
    part = (tmp_path / good.file).read_bytes()[offset : offset + length]
    beside = replace(good, offset=offset, length=length, crc32=zlib.crc32(part))
    wrong, right = store.read_each([beside, good])
    assert isinstance(wrong, TensorCorrupt)
    assert_same(prompts(1), [right])
