"""Stretches of stored videos as files of their own."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
import pytest

from app.model_api.endpoint import WorkerFailed
from tests.app.conftest import MakeClip
from tests.app.stack import VIDEOS, Stack, assert_problem


@pytest.fixture(scope="module")
def longest(library: Stack) -> dict:
    return library.api.get(VIDEOS, params={"limit": 1}).json()["items"][0]


def pictures(content: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(content)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def clip(stack: Stack, video: dict, start: object, end: object):
    params = {"start": start, "end": end}
    return stack.api.get(f"{VIDEOS}/{video['id']}/clip", params=params)


def test_a_clip_shows_the_source_from_where_its_header_says(library: Stack, longest: dict):
    """Every picture is the source's, and it covers what was asked for."""
    answer = clip(library, longest, 2.2, 3.0)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    start, end = (float(answer.headers[f"x-clip-{name}"]) for name in ("start", "end"))
    assert 0 <= start <= 2.2
    assert 3.0 <= end <= longest["duration_s"]
    source = pictures(library.api.get(longest["content_url"]).content)
    shown = pictures(answer.content)
    assert len(shown) == round((end - start) * 8)
    for number, picture in enumerate(shown, start=round(start * 8)):
        np.testing.assert_array_equal(picture, source[number])
    named = answer.headers["content-disposition"]
    assert named.startswith("inline; filename*=utf-8''clip%203%20")
    assert named.endswith(".mp4")


def test_nothing_of_a_clip_stays_on_the_disk(library: Stack, longest: dict):
    """Neither where it went well nor where it did not."""
    assert clip(library, longest, 0, 1).status_code == 200
    assert clip(library, longest, 0, 1e9).status_code == 422
    assert [path.name for path in library.media.tmp.glob("incoming-*")] == []


@pytest.mark.parametrize(
    ("start", "end"),
    [(2, 1), (1, 1), (-1, 1), (0, "nan"), ("x", 1), (99, 100), (0, 600.1), (0, "inf")],
)
def test_a_stretch_that_is_none_is_refused(
    library: Stack, longest: dict, start: object, end: object
):
    """Backwards, empty, behind the end, too long, no numbers."""
    assert_problem(clip(library, longest, start, end), 422, "invalid_request")


def test_a_clip_of_what_is_not_there_is_not_found(stack: Stack, make_clip: MakeClip):
    """No video, one whose bytes were lost, and one that is not ready."""
    assert_problem(clip(stack, {"id": "vid_none"}, 0, 1), 404, "video_not_found")
    waiting = stack.upload(make_clip(seconds=1))["video"]
    assert_problem(clip(stack, waiting, 0, 1), 409, "video_not_ready")
    while stack.puller.run_one():
        pass
    stack.media.remove_content(waiting["sha256"])
    assert_problem(clip(stack, waiting, 0, 1), 404, "content_not_found")


def test_what_cannot_be_copied_is_refused_by_a_code_of_its_own(stack: Stack, make_clip: MakeClip):
    """An avi is searched like any other, but no clip can be cut out of it."""
    video = stack.ingest(make_clip("old.avi", seconds=1))
    assert video["status"] == "ready"
    assert_problem(clip(stack, video, 0, 1), 422, "not_cuttable")


def test_clips_wait_for_nobody_who_only_reads(stack: Stack, make_clip: MakeClip):
    """A client that does not take its clip holds no place among those that are cut."""
    video = stack.ingest(make_clip(seconds=1))
    url = f"{VIDEOS}/{video['id']}/clip?start=0&end=1"
    with ExitStack() as reading:
        for _ in range(stack.settings.max_clips + 1):
            answer = reading.enter_context(stack.api.stream("GET", url))
            assert answer.status_code == 200


def test_the_worker_writes_only_into_the_folder_for_incoming_files(
    stack: Stack, make_clip: MakeClip, tmp_path: Path
):
    """A name that leads out of it is refused, and so is a link."""
    video = stack.ingest(make_clip(seconds=1))
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (stack.media.tmp / "incoming-link").symlink_to(victim)
    worker = stack.api.app_state["parts"].worker
    for name in ("../victim", str(victim), "incoming-link", "incoming-none"):
        with pytest.raises(WorkerFailed):
            worker.cut(video["sha256"], name, start_s=0, end_s=1, max_bytes=1000)
    assert victim.read_bytes() == b"mine"
