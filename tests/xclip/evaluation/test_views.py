"""Views of real files, decoded in a process of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xclip.encoder import Encoder
from xclip.errors import NoDecodableFrame, UnreadableVideo
from xclip.evaluation.protocols import ViewProtocol
from xclip.evaluation.views import Viewing
from xclip.training.readers.clips import AnnotatedClip
from xclip.video.decode import DecodedSegment, DecodeRequest
from xclip.video.sampling import Segmentation
from xclip.video.sandbox.child import decode_in_child


def viewing(encoder: Encoder, protocol: ViewProtocol | None = None) -> Viewing:
    return Viewing(encoder.num_frames, encoder.geometry, protocol or ViewProtocol())


def ingested(path: Path, encoder: Encoder, segmentation: Segmentation) -> list[DecodedSegment]:
    request = DecodeRequest(segmentation, encoder.num_frames, encoder.geometry)
    with decode_in_child(path, request, wall_clock_s=60) as process:
        return [message for message in process if isinstance(message, DecodedSegment)]


def test_the_service_style_shows_the_frames_that_an_ingest_stores(
    tiny: Encoder, motion_clips: list[AnnotatedClip]
):
    """Of a whole clip, and of a part that is one of the ingest's windows, byte for byte."""
    path = motion_clips[0].path
    (whole,) = ingested(path, tiny, Segmentation(600.0, 600.0))
    assert (viewing(tiny).views_of(AnnotatedClip(path, "")) == whole.frames).all()
    second = ingested(path, tiny, Segmentation(1.0, 1.0))[1]
    part = AnnotatedClip(path, "", second.start, second.end)
    assert (viewing(tiny).views_of(part) == second.frames).all()


def test_the_original_multi_view_gives_twelve_views_and_the_same_each_time(
    tiny: Encoder, motion_clips: list[AnnotatedClip]
):
    """What is drawn at random depends on the clip's name and times alone."""
    twelve = viewing(tiny, ViewProtocol("original", clips=4, crops=3))
    views = twelve.views_of(motion_clips[0])
    edge = tiny.geometry.crop
    assert views.shape == (12, tiny.num_frames, edge, edge, 3)
    assert (views == twelve.views_of(motion_clips[0])).all()
    assert len(np.unique(views, axis=0)) > 3


def test_a_clip_behind_the_end_or_without_frames_is_an_error(
    tiny: Encoder, motion_clips: list[AnnotatedClip], tmp_path: Path
):
    """Each says what is wrong; a file that is not there is the operating system's error."""
    with pytest.raises(NoDecodableFrame, match="begins at 100 s"):
        viewing(tiny).views_of(AnnotatedClip(motion_clips[0].path, "", 100, 110))
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(UnreadableVideo):
        viewing(tiny).views_of(AnnotatedClip(tmp_path / "notes.mp4", ""))
    with pytest.raises(FileNotFoundError):
        viewing(tiny).views_of(AnnotatedClip(tmp_path / "absent.mp4", ""))
