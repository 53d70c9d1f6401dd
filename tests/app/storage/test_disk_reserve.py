"""Disk reserve: there is one where there is room, and it is given up where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from app.data_layout import DataLayout
from app.storage.composition import open_storage
from app.storage.disk_reserve import LEAST_BYTES, DiskReserve
from app.storage.media_store import StorageFull

SMALL_DISK = 64 << 20


class Usage(NamedTuple):
    """What `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


def let_be_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Let the disk say so: one that is really full is tests/faults' matter."""
    usage = Usage(SMALL_DISK, SMALL_DISK - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_the_reserve_is_given_up_on_a_full_disk_and_filled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    layout = DataLayout(tmp_path)
    reserve = DiskReserve(layout)
    step = LEAST_BYTES // 4
    let_be_free(monkeypatch, SMALL_DISK)
    reserve.fill()
    assert layout.reserve.stat().st_blocks * 512 >= LEAST_BYTES
    let_be_free(monkeypatch, step)
    reserve.give_up_if_needed()
    assert layout.reserve.stat().st_size == LEAST_BYTES
    let_be_free(monkeypatch, step - 1)
    for left in (3, 2, 1, 0, 0):
        reserve.give_up_if_needed()
        assert layout.reserve.stat().st_size == left * step
    reserve.fill()
    assert layout.reserve.stat().st_size == 0, "filling it would make the disk full again"
    let_be_free(monkeypatch, 4 * step)
    reserve.fill()
    assert layout.reserve.stat().st_size == step


def test_a_full_disk_takes_files_again_only_some_way_above_its_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A single file that is too large does not close it for smaller ones."""
    mark = 8 << 20
    storage = open_storage(DataLayout(tmp_path), writer_id="test", min_free_bytes=mark)
    let_be_free(monkeypatch, mark)
    storage.media.check_free_space(0)
    with pytest.raises(StorageFull):
        storage.media.check_free_space(1)
    storage.media.check_free_space(0)
    let_be_free(monkeypatch, mark - 1)
    with pytest.raises(StorageFull):
        storage.media.check_free_space(0)
    let_be_free(monkeypatch, mark + mark // 8 - 1)
    with pytest.raises(StorageFull):
        storage.media.check_free_space(0)
    let_be_free(monkeypatch, mark + mark // 8)
    storage.media.check_free_space(0)
    let_be_free(monkeypatch, mark)
    storage.media.check_free_space(0)
    storage.close()
