"""Waste: found and removed beside a running service; what may still be needed is left alone."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from app.catalog import Catalog
from app.cli.main import build_cli
from app.maintenance.data_folder import open_library
from app.maintenance.gc import collect
from app.maintenance.orphans import Orphan, find_orphans
from app.maintenance.verify import verify
from app.storage.backup_lock import held_back
from app.storage.composition import Storage
from index import PackedTensorStore
from tests.app.conftest import MakeClip
from tests.app.maintenance.disk import files_in
from tests.app.stack import Stack, open_stack
from tests.app.stored_files import content_file
from xclip.encoder import Encoder

RECORD = {"embedding": np.full(3000, 7, np.float32)}
SHA = "ab" * 32


def parts(stack: Stack) -> tuple[Catalog, Storage]:
    return stack.catalog, stack.storage


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 100)
    return path


def test_all_orphans_go_and_nothing_else(tmp_path: Path, encoder: Encoder, make_clip: MakeClip):
    """Of a dead writer's file the parts that nothing refers to, of others everything."""
    with open_stack(tmp_path / "data", encoder) as stack:
        stack.tensors.append([RECORD])  # of an attempt that did not come to its end
        video = stack.ingest(make_clip(seconds=1.5))
        stack.tensors.append([RECORD])
        assert find_orphans(*parts(stack)) == []  # the attempt may be under way
        settings = stack.settings
    data = tmp_path / "data"
    lone = PackedTensorStore(data / "tensors", writer_id="dead")
    lone.append([RECORD])
    lone.close()
    write(data / "media" / SHA[:2] / SHA)
    write(data / "thumbnails" / "vid_gone" / "0.webp")
    write(data / "calibrations" / "col_gone-0123.safetensors")
    write(data / "thumbnails" / "notes.txt")  # not of our making
    write(data / "tmp" / "incoming-1")
    write(data / "uploads" / "upl_gone")
    with open_library(settings) as kept, closing(alive(data)) as writer:  # no housekeeping
        all_parts = (kept.catalog, kept.storage)
        living = writer.append([RECORD])
        with kept.storage.media.receive(10) as incoming:
            incoming.write(b"x")
            before = files_in(data)
            found = find_orphans(*all_parts)
            assert [orphan.kind for orphan in found] == [
                "content",
                "thumbnails",
                "tensor file",
                "tensors",
                "calibration",
                "upload",
                "temporary file",
            ]
            assert verify(*all_parts).orphans == found
            assert files_in(data) == before
            assert collect(*all_parts) == found
            assert find_orphans(*all_parts) == []
            assert sorted(set(before) - set(files_in(data))) == [
                "calibrations/col_gone-0123.safetensors",
                f"media/{SHA[:2]}/{SHA}",
                "tensors/dead-000000.tensors",
                "thumbnails/vid_gone/0.webp",
                "tmp/incoming-1",
                "uploads/upl_gone",
            ]
        kept.storage.tensors.read(living)
        (there,) = kept.catalog.list_videos("default").items
        assert there.id == video["id"]
        assert verify(*all_parts).damage == []


def alive(data: Path) -> PackedTensorStore:
    return PackedTensorStore(data / "tensors", writer_id="alive")


def test_removals_that_are_pending_are_done_too(stack: Stack, make_clip: MakeClip):
    """Unless a backup is being made: then nothing is removed at all."""
    video = stack.ingest(make_clip(seconds=1.0))
    with held_back(stack.media.layout):
        stack.catalog.delete_video("default", video["id"])
        assert collect(*parts(stack)) is None
        assert content_file(stack.media, video["sha256"]).exists()
    assert collect(*parts(stack)) == []
    assert stack.catalog.pending_removals().count == 0
    assert not content_file(stack.media, video["sha256"]).exists()


def test_the_command_counts_and_can_only_look(stack: Stack, monkeypatch: pytest.MonkeyPatch):
    """--dry-run prints what would go; without it, it goes."""
    monkeypatch.setenv("XCLIP_DATA_DIR", str(stack.settings.data_dir))
    path = write(stack.settings.data_dir / "media" / SHA[:2] / SHA)
    run = CliRunner().invoke
    dry = run(build_cli(), ["gc", "--dry-run", "--json"])
    assert [Orphan(**{**each, "runs": ()}) for each in json.loads(dry.stdout)] == [
        Orphan("content", SHA, 100)
    ]
    assert path.exists()
    assert "were removed" in run(build_cli(), ["gc"]).stdout
    assert not path.exists()
