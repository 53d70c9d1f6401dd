"""A file system that really is full, at whatever write it becomes so."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import World, sample

ROOT = Path(__file__).parents[2]
SIZE_MIB = 24
STEP = 16 << 10
FREE_BYTES = sample([4096, *range(STEP, 15 * STEP, STEP)], 5)
# A file system of one's own, without being root: in a user and mount namespace.
OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount"]


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    trial = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small file system")
def test_a_disk_that_fills_up_at_any_write_loses_nothing(
    prepared: World, checkpoint: Path, tmp_path: Path
) -> None:
    """From no room at all to room for everything: what was accepted is there afterwards."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    script = f'mount -t tmpfs -o size={SIZE_MIB}m tmpfs "$1" && shift && exec "$@"'
    free = ",".join(map(str, FREE_BYTES))
    command = [sys.executable, "-m", "tests.faults.full_disk"]
    arguments = [str(mounted), str(checkpoint), str(prepared.folder), free]
    result = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", script, "sh", str(mounted), *command, *arguments]
        + [str(clip) for clip in prepared.clips],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=850,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    rounds = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["free_bytes"] for one in rounds] == FREE_BYTES
    refused = [one["uploads_refused"] for one in rounds]
    assert refused[0] == len(prepared.clips), "the disk was not full at the beginning"
    assert refused[-1] == 0, "the disk was still full at the end"


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small file system")
def test_a_service_on_a_full_disk_starts_answers_and_deletes(
    prepared: World, checkpoint: Path, tmp_path: Path
) -> None:
    """At no byte free; uploads are told to come later."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    clip = shutil.copy(prepared.clips[0], tmp_path / "clip.mp4")
    shutil.copy(prepared.clips[1], tmp_path / "another.mp4")
    script = f'mount -t tmpfs -o size={2 * SIZE_MIB}m tmpfs "$1" && shift && exec "$@"'
    command = [sys.executable, "-m", "tests.faults.emptied_disk"]
    arguments = [str(mounted), str(checkpoint), str(clip)]
    result = subprocess.run(
        [*OWN_MOUNTS, "sh", "-c", script, "sh", str(mounted), *command, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=850,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:] + (tmp_path / "log").read_text()[-4000:]
