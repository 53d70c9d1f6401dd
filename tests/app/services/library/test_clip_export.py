"""Clip export: which intervals are refused before a worker is asked for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.catalog.records import Video
from app.data_layout import DataLayout
from app.errors import ContentNotFound, InvalidRequest, VideoNotReady
from app.model_api.client import WorkerClient
from app.model_api.endpoint import WorkerUnavailable
from app.services.library.clip_export import MAX_CLIP_S, ClipExport
from app.storage.composition import open_storage
from app.storage.media_store import StorageFull
from tests.app.services.search.test_moments import ranked

CONTENT = b"not a film"
DURATION_S = 1000.0


def a_video(duration_s: float | None = DURATION_S) -> Video:
    video = ranked("vid_1", 0, 0, 1, 0).found.video
    return replace(video, sha256="ab" * 32, duration_s=duration_s, size_bytes=len(CONTENT))


def export(folder: Path, min_free_bytes: int = 0) -> ClipExport:
    """Of a store that holds the video's bytes; its worker is away."""

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    media = open_storage(DataLayout(folder), writer_id="api", min_free_bytes=min_free_bytes).media
    media.objects.put(f"media/ab/{'ab' * 32}", CONTENT)
    worker = WorkerClient("http://worker", secret=b"", transport=httpx.MockTransport(away))
    return ClipExport(media, worker)


@pytest.mark.parametrize(
    ("start_s", "end_s"),
    [
        (5.0, 5.0),
        (5.0, 4.9),
        (DURATION_S, DURATION_S + 1),
        (DURATION_S + 1, DURATION_S + 2),
        (0.0, MAX_CLIP_S + 1e-6),
        (DURATION_S - 1, DURATION_S + MAX_CLIP_S),
    ],
)
def test_an_interval_without_an_inside_or_too_long_is_refused(
    tmp_path: Path, start_s: float, end_s: float
) -> None:
    """Empty, backwards, behind the end of the video, and a microsecond above the limit."""
    with pytest.raises(InvalidRequest):
        export(tmp_path).cut(a_video(), start_s, end_s)


@pytest.mark.parametrize(
    ("start_s", "end_s"),
    [(0.0, MAX_CLIP_S), (0.0, 1e-3), (DURATION_S - 1e-3, DURATION_S + MAX_CLIP_S - 1)],
)
def test_an_interval_at_a_limit_goes_to_the_worker(
    tmp_path: Path, start_s: float, end_s: float
) -> None:
    """As long as may be, very short, and over the end; a worker that is away leaves no file."""
    with pytest.raises(WorkerUnavailable):
        export(tmp_path).cut(a_video(), start_s, end_s)
    assert list(tmp_path.glob("tmp/incoming-*")) == []


def test_a_video_of_unknown_length_is_not_ready(tmp_path: Path) -> None:
    """It is refused as such, whatever the interval."""
    with pytest.raises(VideoNotReady, match="vid_1"):
        export(tmp_path).cut(a_video(None), 5.0, 4.0)


def test_bytes_that_are_gone_are_told(tmp_path: Path) -> None:
    """A deletion may be quicker than the clip."""
    with pytest.raises(ContentNotFound, match="vid_1"):
        export(tmp_path).cut(replace(a_video(), sha256="cd" * 32), 0.0, 1.0)


def test_a_full_disk_is_told_before_the_worker_writes(tmp_path: Path) -> None:
    """The source's own size and something over has to fit."""
    with pytest.raises(StorageFull):
        export(tmp_path, min_free_bytes=1 << 60).cut(a_video(), 0.0, 1.0)
    assert list(tmp_path.glob("tmp/incoming-*")) == []
