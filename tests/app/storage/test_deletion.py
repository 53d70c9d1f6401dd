"""Deletions: complete when they say so, and never before the commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app import failpoints
from app.catalog.maintenance import REMOVALS_AT_ONCE
from app.catalog.records import NewVideo
from app.storage.backup_lock import held_back
from tests.app.conftest import MakeClip
from tests.app.maintenance.disk import files_in, segments_of, tensor_bytes, work
from tests.app.stack import VIDEOS, Stack, open_stack
from tests.app.stored_files import content_file
from xclip.encoder import Encoder


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.configure("")


def left_on_disk(stack: Stack) -> list[str]:
    folder = stack.settings.data_dir
    return [*files_in(folder / "media"), *files_in(folder / "thumbnails")]


def pending(stack: Stack) -> int:
    return stack.api.get("/v1/removals").json()["pending"]


def test_a_deletion_that_is_answered_204_has_left_nothing(stack: Stack, make_clip: MakeClip):
    """Content, pictures and the bytes of the tensors are gone, also beside a living writer."""
    kept = stack.ingest(make_clip("kept.mp4", seconds=1.5, seed=1))
    before = (left_on_disk(stack), tensor_bytes(stack))
    gone = stack.ingest(make_clip("gone.mp4", seconds=2.0, seed=2))
    answer = stack.api.delete(f"{VIDEOS}/{gone['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (left_on_disk(stack), tensor_bytes(stack)) == before
    assert stack.api.get("/v1/removals").json() == {"pending": 0, "oldest": None}
    stack.tensors.read([segment.tensor for segment in segments_of(stack, kept)])


def test_what_a_backup_needs_is_removed_after_it(stack: Stack, make_clip: MakeClip):
    """202 says how much is left; no search shows it; it goes as soon as it may."""
    video = stack.ingest(make_clip(seconds=1.5))
    before = left_on_disk(stack)
    with held_back(stack.media.layout):
        answer = stack.api.delete(f"{VIDEOS}/{video['id']}")
        assert (answer.status_code, answer.json()) == (202, {"pending_removals": 3})
        assert left_on_disk(stack) == before
        state = stack.api.get("/v1/removals").json()
        assert state["pending"] == 3
        assert state["oldest"] is not None
    assert stack.api.app_state["parts"].deletion.work_off() == 0
    assert (left_on_disk(stack), tensor_bytes(stack), pending(stack)) == ([], b"", 0)


@pytest.mark.parametrize("moment", ["content_removed", "thumbnails_removed", "tensors_removed"])
def test_what_an_error_stopped_is_tried_again(stack: Stack, make_clip: MakeClip, moment: str):
    """One thing that cannot be removed keeps its note; the others are done."""
    video = stack.ingest(make_clip(seconds=1.0))
    failpoints.configure(f"{moment}:eio")
    answer = stack.api.delete(f"{VIDEOS}/{video['id']}")
    assert (answer.status_code, answer.json()) == (202, {"pending_removals": 1})
    assert stack.api.app_state["parts"].deletion.work_off() == 0
    assert (left_on_disk(stack), tensor_bytes(stack), pending(stack)) == ([], b"", 0)


def test_an_ingest_that_is_under_way_leaves_nothing_either(
    stack: Stack, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
):
    """Deleted just before its commit: what its worker had written goes, too."""
    uploaded = stack.upload(make_clip(seconds=2.0))
    really_sync = stack.tensors.sync

    def delete_meanwhile() -> None:
        assert tensor_bytes(stack) != b""
        answer = stack.api.delete(f"{VIDEOS}/{uploaded['video']['id']}")
        assert answer.status_code == 204
        really_sync()

    monkeypatch.setattr(stack.tensors, "sync", delete_meanwhile)
    work(stack)
    assert (left_on_disk(stack), tensor_bytes(stack), pending(stack)) == ([], b"", 0)


def test_nothing_is_removed_before_the_commit(stack: Stack, make_clip: MakeClip):
    """A deletion that fails before it is committed has changed nothing."""
    video = stack.ingest(make_clip(seconds=1.0))
    before = left_on_disk(stack)
    failpoints.configure("delete_begun:eio")
    assert stack.api.delete(f"{VIDEOS}/{video['id']}").status_code == 500
    assert left_on_disk(stack) == before
    stack.tensors.read([segment.tensor for segment in segments_of(stack, video)])


def test_a_start_does_what_a_dead_process_left(
    tmp_path: Path, encoder: Encoder, make_clip: MakeClip
):
    """Committed and not removed, whatever the reason: the next start removes it."""
    with open_stack(tmp_path / "data", encoder) as stack:
        video = stack.ingest(make_clip(seconds=1.0))
        stack.catalog.delete_video("default", video["id"])
        assert left_on_disk(stack) != []
    with open_stack(tmp_path / "data", encoder) as stack:
        stack.api.app_state["parts"].deletion.work_off()  # or housekeeping was first
        assert (left_on_disk(stack), pending(stack)) == ([], 0)
        assert files_in(stack.settings.layout.tensors) == []  # its writer is dead, so it went whole


def test_bytes_that_others_hold_stay(stack: Stack, make_clip: MakeClip):
    """The same file in two collections goes with the last of them."""
    stack.api.put("/v1/collections/other")
    clip = make_clip(seconds=1.0)
    here = stack.ingest(clip)
    there = stack.ingest(clip, "/v1/collections/other/videos")
    content = content_file(stack.media, here["sha256"])
    assert stack.api.delete(f"{VIDEOS}/{here['id']}").status_code == 204
    assert content.exists()
    stack.tensors.read([segment.tensor for segment in segments_of(stack, there)])
    assert stack.api.delete("/v1/collections/other").status_code == 204
    assert not content.exists()
    assert tensor_bytes(stack) == b""


def test_a_collection_takes_its_calibrations_along(stack: Stack):
    """They hold footage of it as background."""
    stack.api.put("/v1/collections/other")
    folder = stack.settings.layout.calibrations
    folder.mkdir()
    own = folder / f"{stack.catalog.get_collection('other').id}-0123.safetensors"
    others = folder / f"{stack.catalog.get_collection('default').id}-0123.safetensors"
    for path in (own, others):
        path.write_bytes(b"x")
    assert stack.api.delete("/v1/collections/other").status_code == 204
    assert (own.exists(), others.exists()) == (False, True)


def test_more_removals_than_are_done_at_once(stack: Stack):
    """A large collection goes some at a time, in one request, in full."""
    stack.api.put("/v1/collections/other")
    count = REMOVALS_AT_ONCE // 2 + 20
    for number in range(count):
        new = NewVideo("a.mp4", "video/mp4", 1, f"{number:064x}", {})
        stack.catalog.add_video_with_job("other", new)
        if number in (0, count - 1):
            path = content_file(stack.media, new.sha256)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
    assert stack.api.delete("/v1/collections/other").status_code == 204
    assert (left_on_disk(stack), pending(stack)) == ([], 0)


def test_tensors_that_a_new_ingest_replaces_are_removed(stack: Stack, make_clip: MakeClip):
    """A rebuild leaves the bytes of the newest attempt, and no others."""
    video = stack.ingest(make_clip(seconds=2.0))
    once = len(tensor_bytes(stack))
    assert stack.catalog.queue_rebuild(video["id"])
    assert stack.api.get(f"{VIDEOS}/{video['id']}").json()["status"] == "ready"
    work(stack)
    assert len(tensor_bytes(stack)) > once
    assert stack.api.app_state["parts"].deletion.work_off() == 0
    assert len(tensor_bytes(stack)) == once
    stack.tensors.read([segment.tensor for segment in segments_of(stack, video)])
