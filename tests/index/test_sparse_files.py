"""Hole punching, against the bytes of a file that is kept beside it in memory."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import sparse_files

BLOCK = 4096  # of the file systems that tests run on
SIZE = 3 * BLOCK + 100


def content() -> bytes:
    """No zeros, so that what is erased can be told from what is not."""
    return bytes(number % 255 + 1 for number in range(SIZE))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("sparse") / "file"
    opened = os.open(path, os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


def refill(file: int) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, content(), 0)


# Around the ends of blocks and of the file, and far behind it.
edges = st.sampled_from([0, BLOCK, 2 * BLOCK, 3 * BLOCK, SIZE, 2 * SIZE])
offsets = st.builds(lambda edge, step: max(0, edge + step), edges, st.integers(-2, 2))
runs = st.lists(st.tuples(offsets, offsets), max_size=4)


@pytest.mark.parametrize("holes_work", [True, False])
@settings(max_examples=40, deadline=None)
@given(erased=runs)
def test_erasing_makes_zeros_of_these_bytes_only(
    file: int, holes_work: bool, erased: list[tuple[int, int]]
) -> None:
    """Whatever runs, across blocks and the end: the rest stays, and the file keeps its length."""
    refill(file)
    expected = bytearray(content())
    with pytest.MonkeyPatch.context() as patch:
        if not holes_work:
            patch.setattr(sparse_files, "_fallocate", refuse(errno.EOPNOTSUPP))
        for offset, length in erased:
            sparse_files.erase(file, offset, length)
            end = min(offset + length, SIZE)
            expected[offset:end] = bytes(max(0, end - offset))
    assert os.pread(file, 2 * SIZE, 0) == bytes(expected)


def refuse(number: int) -> object:
    """The system's call, on a file system that answers with this error."""

    def call(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    return call


def test_an_error_of_the_disk_is_told(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a file system without holes is written over: another error may mean that it is broken"""
    refill(file)
    monkeypatch.setattr(sparse_files, "_fallocate", refuse(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)) as caught:
        sparse_files.erase(file, 0, 10)
    assert caught.value.errno == errno.EIO
    assert os.pread(file, SIZE, 0) == content()


@settings(max_examples=40, deadline=None)
@given(erased=runs, asked=st.tuples(offsets, offsets))
def test_what_was_erased_is_not_counted_as_written(
    file: int, erased: list[tuple[int, int]], asked: tuple[int, int]
) -> None:
    """A run counts exactly if it has a byte left, and never for more than lies in the file."""
    refill(file)
    for offset, length in erased:
        sparse_files.erase(file, offset, length)
    offset, length = asked
    there = os.pread(file, length, offset)
    found = sparse_files.written_bytes(file, offset, length)
    assert (found > 0) == any(there)
    assert found <= len(there)


@pytest.mark.parametrize("size", [0, 1, BLOCK])
def test_a_file_of_nothing_but_a_hole_has_nothing_written(tmp_path: Path, size: int) -> None:
    """Neither an empty file nor one that was only made long."""
    path = tmp_path / "hole"
    path.touch()
    os.truncate(path, size)
    with path.open("rb") as opened:
        assert sparse_files.written_bytes(opened.fileno(), 0, size + 10) == 0


@given(st.binary(max_size=6))
def test_a_block_is_set_if_any_byte_is(block: bytes) -> None:
    """A block of zeros and an empty one are not."""
    assert sparse_files.any_set(block) == any(block)
