"""Copies of files with holes, the manifest that lists them, and the gaps between runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.catalog.records import TensorRun
from app.maintenance.file_copy import MANIFEST, CopiedFile, Manifest, copy_file, copy_runs
from app.maintenance.orphans import _gaps, size_of
from app.storage.errors import BackupUnusable

ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
# Gaps and lengths of runs in turn, so that they ascend and do not overlap.
STEPS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=6)
FIELDS = {"format": 1, "created_at": "2026-01-01", "missing": []}


def runs_of(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Offsets and lengths."""
    runs, at = [], 0
    for gap, length in steps:
        runs.append((at + gap, length))
        at += gap + length
    return runs


@ANYWHERE
@given(content=st.binary(min_size=1, max_size=200), steps=STEPS)
def test_a_copy_holds_the_runs_and_zeros_between(
    content: bytes, steps: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its length ends with the last run, and its SHA-256 is that of what it holds."""
    folder = tmp_path_factory.mktemp("copy")
    runs = runs_of(steps)
    end = max((offset + length for offset, length in runs), default=0)
    whole = (content * (end // len(content) + 1))[: max(end, 1)]
    (folder / "source").write_bytes(whole)
    expected = bytearray(end)
    for offset, length in runs:
        expected[offset : offset + length] = whole[offset : offset + length]
    with (folder / "source").open("rb") as source:
        copied = copy_runs(source, folder / "to", "deeper/copy", runs)
    assert (folder / "to" / "deeper" / "copy").read_bytes() == expected
    assert copied == CopiedFile("deeper/copy", end, hashlib.sha256(expected).hexdigest())


def test_a_copy_of_zeros_takes_no_room(tmp_path: Path) -> None:
    """Holes stay holes, and count in length and checksum all the same."""
    size = 3 << 20
    (tmp_path / "zeros").write_bytes(bytes(size))
    copied = copy_file(tmp_path / "zeros", tmp_path / "to", "zeros")
    assert copied.sha256 == hashlib.sha256(bytes(size)).hexdigest()
    assert (tmp_path / "to" / "zeros").stat().st_size == size
    assert (tmp_path / "to" / "zeros").stat().st_blocks * 512 < size // 10


def test_a_source_that_ends_too_soon_is_an_error(tmp_path: Path) -> None:
    """And no copy that is silently short; nor is one written over another."""
    (tmp_path / "source").write_bytes(b"12345")
    with (tmp_path / "source").open("rb") as source:
        with pytest.raises(EOFError, match="ends before 6"):
            copy_runs(source, tmp_path / "to", "copy", [(0, 6)])
        with pytest.raises(FileExistsError):
            copy_runs(source, tmp_path / "to", "copy", [(0, 5)])


FILE_NAMES = st.from_regex(r"[a-z]{1,5}(/[a-z.]{1,5}[a-z]){0,2}", fullmatch=True)
COPIED = st.builds(CopiedFile, FILE_NAMES, st.integers(0, 2**60), st.text("0123456789abcdef"))


@ANYWHERE
@given(made=st.builds(Manifest, st.text(), st.lists(COPIED, max_size=4), st.lists(st.text())))
def test_a_manifest_reads_back(made: Manifest, tmp_path: Path) -> None:
    """Whatever the names of missing files are."""
    made.write(tmp_path)
    assert Manifest.read(tmp_path) == made


@pytest.mark.parametrize(
    "fields",
    [
        *(None, 1, "a", [], {}, [FIELDS]),
        {**FIELDS, "format": 2, "files": []},
        {**FIELDS, "format": "1", "files": []},
        FIELDS,
        {**FIELDS, "files": None},
        {**FIELDS, "files": [{}]},
        {**FIELDS, "files": [{"path": "a"}]},
        {**FIELDS, "files": [{"path": "a", "size_bytes": 1, "sha256": "", "more": 1}]},
        {**FIELDS, "files": [], "missing": 1},
        *(
            {**FIELDS, "files": [{"path": path, "size_bytes": 1, "sha256": ""}]}
            for path in (5, None, ["a"], "/etc/passwd", "../a", "a/../../b", "a\0b")
        ),
    ],
)
def test_a_manifest_that_is_none_is_said_in_a_sentence(fields: Any, tmp_path: Path) -> None:
    """Whatever is wrong with it, and none of its paths leads out of the backup."""
    (tmp_path / MANIFEST).write_text(json.dumps(fields))
    with pytest.raises(BackupUnusable, match=r"backup|manifest"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"format": NaN}'])
def test_a_damaged_manifest_is_said_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    """And a folder without one is no backup."""
    with pytest.raises(BackupUnusable, match=f"has no {MANIFEST}"):
        Manifest.read(tmp_path)
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(BackupUnusable):
        Manifest.read(tmp_path)


@given(
    spans=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=8),
    size=st.integers(0, 90),
)
def test_gaps_are_the_bytes_of_no_run(spans: list[tuple[int, int]], size: int) -> None:
    """Byte by byte, also where runs overlap, touch or end behind the file."""
    runs = [TensorRun("file", offset, length) for offset, length in sorted(spans)]
    used = {at for offset, length in spans for at in range(offset, offset + length)}
    gaps = list(_gaps(runs, size))
    free = [at for offset, length in gaps for at in range(offset, offset + length)]
    assert [at for at in free if at < size] == [at for at in range(size) if at not in used]
    assert len(free) == len(set(free))
    assert not used & set(free)
    assert all(length > 0 for _, length in gaps)


def test_a_size_counts_everything_below_a_folder(tmp_path: Path) -> None:
    """What is gone has none."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(bytes(10))
    (tmp_path / "a" / "b" / "two").write_bytes(bytes(5))
    sizes = [size_of(tmp_path / name) for name in ("a", "a/one", "a/b", "gone")]
    assert sizes == [15, 10, 5, 0]
