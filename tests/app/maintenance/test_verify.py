"""Verification: damage is found and named, nothing else is, and what can be mended is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from app.catalog import Catalog
from app.catalog.records import NewUpload, Segment, Video
from app.cli.main import build_cli
from app.maintenance.data_folder import open_library
from app.maintenance.verify import Report, repair, verify
from app.settings import Settings
from app.storage.composition import Storage
from app.storage.deletion import DeletionRunner
from index import PackedTensorStore
from tests.app.conftest import MakeClip, write_clip
from tests.app.maintenance.disk import change_rows, flip, flip_tensor, segments_of, work
from tests.app.stack import VIDEOS, Stack, open_stack
from tests.app.stored_files import content_file, thumbnail_file
from xclip.encoder import Encoder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """A folder with one video of three segments."""
    folder = tmp_path_factory.mktemp("prepared")
    with open_stack(folder / "data", encoder) as stack:
        stack.ingest(write_clip(folder / "clip.mp4", seconds=2.0))
    return folder / "data"


@pytest.fixture
def kept(prepared: Path, tmp_path: Path) -> Iterator[Kept]:
    """A copy of it, opened without a service."""
    shutil.copytree(prepared, tmp_path / "data")
    settings = Settings(data_dir=tmp_path / "data")
    with open_library(settings) as opened:
        yield Kept(opened.catalog, opened.storage, settings)


@dataclass(frozen=True)
class Kept:
    """What verification needs."""

    catalog: Catalog
    storage: Storage
    settings: Settings

    def look(self) -> Report:
        return verify(self.catalog, self.storage)

    @property
    def video(self) -> Video:
        (video,) = self.catalog.list_videos("default").items
        return video

    @property
    def segments(self) -> list[Segment]:
        return self.catalog.list_segments("default", self.video.id)

    def set_vector(self, vector: bytes) -> None:
        row = self.segments[0].row
        change_rows(self, "UPDATE embeddings SET vector = ? WHERE row = ?", vector, row)

    def remove_from(self, *names: str) -> None:
        row = self.segments[0].row
        for name in names:
            change_rows(self, f"DELETE FROM {name} WHERE row = ?", row)

    @property
    def tensor_file(self) -> Path:
        return self.settings.layout.tensors / self.segments[0].tensor.file

    @property
    def thumbnail(self) -> Path:
        return thumbnail_file(self.storage.media, self.video.id, 1)

    @property
    def content(self) -> Path:
        return content_file(self.storage.media, self.video.sha256)


def test_what_is_whole_is_called_so(kept: Kept):
    """Nothing is found where nothing is wrong, and everything has been looked at."""
    assert kept.look() == Report(1, 3, [], [], 0)


MENDABLE: dict[str, tuple[str, Callable[[Kept], object]]] = {
    "a flipped bit in a tensor": ("tensor", lambda kept: flip_tensor(kept, kept.segments[0])),
    "a tensor file gone": ("tensor", lambda kept: kept.tensor_file.unlink()),
    "no vector": ("vector", lambda kept: kept.remove_from("embeddings")),
    "a short vector": ("vector", lambda kept: kept.set_vector(b"1234")),
    "a vector of nothing": ("vector", lambda kept: kept.set_vector(b"\xff" * 64)),
    "a vector of another": ("vector", lambda kept: kept.set_vector(np.ones(16, "<f4").tobytes())),
    "no picture": ("thumbnail", lambda kept: kept.thumbnail.unlink()),
    "half a picture": ("thumbnail", lambda kept: kept.thumbnail.write_bytes(b"RIFF")),
    "a segment gone": ("state", lambda kept: kept.remove_from("embeddings", "segments")),
    "no job": ("state", lambda kept: change_rows(kept, "UPDATE videos SET status = 'processing'")),
}
LOST: dict[str, tuple[str, Callable[[Kept], object]]] = {
    "a flipped bit": ("content", lambda kept: flip(kept.content, 100)),
    "a file cut short": ("content", lambda kept: kept.content.write_bytes(b"x")),
    "a file gone": ("content", lambda kept: kept.content.unlink()),
    "a change gone": (
        "state",
        lambda kept: change_rows(kept, "DELETE FROM changes WHERE sequence = 2"),
    ),
    "a job without a video": (
        "state",
        lambda kept: change_rows(kept, "UPDATE jobs SET status = 'queued', video_id = 'vid_0'"),
    ),
    "an upload without its file": (
        "upload",
        lambda kept: kept.catalog.create_upload(
            "default", "anonymous", NewUpload(10, "a.mp4", "video/mp4", {})
        ),
    ),
    "an owner gone": ("database", lambda kept: change_rows(kept, "DELETE FROM videos")),
}


@pytest.mark.parametrize("damage", MENDABLE)
def test_what_the_video_itself_can_mend_is_queued(kept: Kept, damage: str):
    """Found under its kind, and one new ingest queued, also when the last one failed."""
    kind, do = MENDABLE[damage]
    change_rows(kept, "UPDATE jobs SET status = 'failed'")
    do(kept)
    report = kept.look()
    assert {each.kind for each in report.damage} >= {kind}
    assert {each.video_id for each in report.damage} <= {kept.video.id, None}
    assert repair(kept.catalog, report).queued == [kept.video.id]
    assert repair(kept.catalog, report).queued == [kept.video.id]
    (job,) = kept.catalog.list_jobs(status="queued").items
    assert job.id == kept.video.job_id


@pytest.mark.parametrize("damage", LOST)
def test_what_cannot_be_mended_is_named(kept: Kept, damage: str):
    """No job is queued for what another ingest would not mend."""
    kind, do = LOST[damage]
    do(kept)
    report = kept.look()
    assert {each.kind for each in report.damage} == {kind}
    repairs = repair(kept.catalog, report)
    assert (repairs.queued, repairs.beyond) == ([], report.damage)


def test_what_is_deleted_meanwhile_is_no_damage(kept: Kept):
    """The catalog is asked again before anything counts as damage."""

    class Busy(PackedTensorStore):
        """Somebody deletes the video, and all of it, just before its tensors are read."""

        def read_each(self, references: Any) -> Any:
            deletion = DeletionRunner(kept.catalog, replace(kept.storage, tensors=self))
            deletion.remove(kept.catalog.delete_video("default", kept.video.id))
            return super().read_each(references)

    busy = Busy(kept.settings.layout.tensors, writer_id="busy")
    assert verify(kept.catalog, replace(kept.storage, tensors=busy)).damage == []


def test_a_repair_mends_it(stack: Stack, make_clip: MakeClip):
    """Afterwards nothing is damaged, also when the worker's own file was taken from under it."""
    video = stack.ingest(make_clip(seconds=2.0))
    segments = segments_of(stack, video)
    (stack.settings.layout.tensors / segments[0].tensor.file).unlink()
    change_rows(stack, "DELETE FROM embeddings WHERE row = ?", segments[1].row)
    thumbnail_file(stack.media, video["id"], 2).unlink()
    report = verify(stack.catalog, stack.storage)
    assert {each.kind for each in report.damage} == {"tensor", "thumbnail"}
    repair(stack.catalog, report)
    work(stack)
    stack.api.app_state["parts"].deletion.work_off()
    assert verify(stack.catalog, stack.storage).damage == []
    assert stack.api.get(f"{VIDEOS}/{video['id']}").json()["status"] == "ready"


def test_the_command_says_it_in_a_table_as_json_and_by_its_status(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
):
    """0: nothing is damaged; 1: something is, whether or not it is being mended."""
    monkeypatch.setenv("XCLIP_DATA_DIR", str(kept.settings.data_dir))
    run = CliRunner().invoke
    whole = run(build_cli(), ["verify"])
    assert whole.exit_code == 0
    assert whole.stdout == "Nothing is damaged in 1 videos and 3 segments.\n"
    flip_tensor(kept, kept.segments[0])
    damaged = run(build_cli(), ["verify"])
    assert damaged.exit_code == 1
    assert "Damaged in 1 videos and 3 segments: tensor 1." in damaged.stdout
    answer = run(build_cli(), ["verify", "--repair", "--json"])
    assert answer.exit_code == 1
    body = json.loads(answer.stdout)
    assert body["repairs"]["queued"] == [kept.video.id]
    assert body["damage"][0]["subject"] == kept.segments[0].id


def test_a_catalog_that_is_none_is_an_error_in_one_line(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
):
    """Overwritten, it is no database any more, and no traceback says so."""
    monkeypatch.setenv("XCLIP_DATA_DIR", str(kept.settings.data_dir))
    kept.catalog.close()
    for path in kept.settings.data_dir.glob("catalog.sqlite*"):
        path.write_bytes(b"not a database" * 1000)
    result = CliRunner().invoke(build_cli(), ["verify"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "cannot be read" in result.stderr.replace("\n", " ")


def test_a_misspelt_folder_does_not_become_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is an error, and nothing is made."""
    monkeypatch.setenv("XCLIP_DATA_DIR", str(tmp_path / "none"))
    for command in (["verify"], ["gc"], ["backup", str(tmp_path / "backup")]):
        result = CliRunner().invoke(build_cli(), command)
        assert (result.exit_code, "no_library" in result.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
